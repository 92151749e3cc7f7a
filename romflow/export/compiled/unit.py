"""C text that functional mock-up units of both versions share: what a unit holds, its range, its values in time."""

from __future__ import annotations

__all__ = ["UNIT"]

#: Follows the lines that define PARAMETERS, OUTPUTS, OUTPUT_ERRORS, ERRORS, POINTS, WORK, TOKEN, the arrays `low`,
#: `high`, `start_values`, `parameter_names`, `times` and the function `evaluate`.
UNIT = r"""
#define RESULTS (OUTPUTS * (1 + OUTPUT_ERRORS) + ERRORS)

enum { STATUS_OK = 0, STATUS_WARNING = 1, STATUS_DISCARD = 2, STATUS_ERROR = 3 };

typedef struct {
    double mu[PARAMETERS];
    double time;
} Saved;

typedef struct {
    Saved now;
    double stop;
    int stale, running, loud;
    void *environment;
    void *logger;
    char *name;
    double values[POINTS * RESULTS + 1];
    double work[WORK];
} Unit;

static void say(Unit *unit, int status, const char *message);

static int complain(Unit *unit, const char *message)
{
    say(unit, STATUS_ERROR, message);
    return STATUS_ERROR;
}

static void restart(Unit *unit)
{
    int i;
    for (i = 0; i < PARAMETERS; i++) unit->now.mu[i] = start_values[i];
    unit->now.time = POINTS > 1 ? times[0] : 0.0;
    unit->stop = HUGE_VAL;
    unit->stale = 1;
    unit->running = 0;
}

static Unit *made(const char *name, const char *token, const char *expected)
{
    size_t length = strlen(name ? name : "") + 1;
    Unit *unit = (Unit *)calloc(1, sizeof(Unit));
    if (!unit) return NULL;
    unit->name = (char *)calloc(length, 1);
    if (!unit->name || !token || strcmp(token, expected) != 0) {
        free(unit->name);
        free(unit);
        return NULL;
    }
    memcpy(unit->name, name ? name : "", length);
    restart(unit);
    return unit;
}

static void gone(Unit *unit)
{
    if (!unit) return;
    free(unit->name);
    free(unit);
}

/* A parameter that is not finite or not within the range of the model is refused, and nothing changes. */
static int put(Unit *unit, unsigned reference, double value)
{
    char message[400];
    int i = (int)reference - 1;
    if (reference < 1 || reference > PARAMETERS) {
        snprintf(message, sizeof message, "value reference %u is no parameter and cannot be set.", reference);
        return complain(unit, message);
    }
    if (!(value >= low[i] && value <= high[i]) || value - value != 0.0) {
        snprintf(message, sizeof message, "%.150s = %.17g is outside the range [%.17g, %.17g] of the reduced model.",
                 parameter_names[i], value, low[i], high[i]);
        return complain(unit, message);
    }
    if (unit->now.mu[i] != value) unit->stale = 1;
    unit->now.mu[i] = value;
    return STATUS_OK;
}

static int refresh(Unit *unit)
{
    char message[200];
    double *output = unit->values, *output_error = output + POINTS * OUTPUTS;
    double *error = output_error + POINTS * OUTPUTS * OUTPUT_ERRORS;
    int failed;
    if (!unit->stale) return STATUS_OK;
    failed = evaluate(unit->now.mu, output, OUTPUT_ERRORS ? output_error : NULL, ERRORS ? error : NULL, unit->work);
    if (failed) {
        snprintf(message, sizeof message, "the reduced model has no answer for these parameters (code %d).", failed);
        return complain(unit, message);
    }
    unit->stale = 0;
    return STATUS_OK;
}

/* Outputs between two times of the model are interpolated linearly; of errors the larger of the two is given. */
static double in_time(const Unit *unit, int base, int width, int column, int is_error)
{
    const double *values = unit->values + base;
    double t = unit->now.time, left, right, share;
    int a = 0, b = POINTS - 1;
    if (POINTS == 1) return values[column];
    if (t <= times[0]) return values[column];
    if (t >= times[b]) return values[b * width + column];
    while (b - a > 1) {
        int middle = (a + b) / 2;
        if (times[middle] <= t) a = middle; else b = middle;
    }
    left = values[a * width + column];
    right = values[b * width + column];
    if (t == times[a]) return left;
    if (is_error) return left > right ? left : right;
    share = (t - times[a]) / (times[b] - times[a]);
    return left + share * (right - left);
}

static double result(const Unit *unit, int i)
{
    int first = OUTPUTS, second = OUTPUTS * (1 + OUTPUT_ERRORS);
    if (i < first) return in_time(unit, 0, OUTPUTS, i, 0);
    if (i < second) return in_time(unit, POINTS * first, OUTPUTS, i - first, 1);
    return in_time(unit, POINTS * second, 1, 0, 1);
}

/* A model at rest has values always, one that moves between its first and last time. */
static int within(Unit *unit, double time, double slack)
{
    char message[200];
    if (POINTS == 1 || (time >= times[0] - slack && time <= times[POINTS - 1] + slack)) return STATUS_OK;
    snprintf(message, sizeof message, "time = %.17g is outside the times [%.17g, %.17g] of the reduced model.",
             time, times[0], times[POINTS - 1]);
    return complain(unit, message);
}

/* Integrators look ahead: a time outside is taken, and values are held there for one step of the model. */
static int look(Unit *unit, double time)
{
    if (time - time != 0.0) return complain(unit, "the time is not finite.");
    unit->now.time = time;
    return STATUS_OK;
}

static int readable(Unit *unit)
{
    int last = POINTS - 1;
    double slack = POINTS > 1 ? times[last] - times[last > 0 ? last - 1 : 0] : 0.0;
    int status = within(unit, unit->now.time, slack);
    return status == STATUS_OK ? refresh(unit) : status;
}

/* To a point of communication, which is within the times. */
static int move(Unit *unit, double time)
{
    double slack = POINTS > 1 ? 1e-9 * (times[POINTS - 1] - times[0]) : 0.0;
    int status = time - time != 0.0 ? STATUS_OK : within(unit, time, slack);
    return status == STATUS_OK ? look(unit, time) : status;
}

static int take(Unit *unit, unsigned reference, double *value)
{
    char message[100];
    int status = STATUS_OK;
    if (reference == 0) {
        *value = unit->now.time;
    } else if (reference <= PARAMETERS) {
        *value = unit->now.mu[reference - 1];
    } else if (reference <= PARAMETERS + RESULTS) {
        status = readable(unit);
        *value = status == STATUS_OK ? result(unit, (int)reference - PARAMETERS - 1) : NAN;
    } else {
        snprintf(message, sizeof message, "value reference %u is no variable of the unit.", reference);
        status = complain(unit, message);
    }
    return status;
}

static int step(Unit *unit, double from, double size)
{
    if (!unit->running) return complain(unit, "a step before the end of the initialization.");
    if (!(size > 0.0)) return complain(unit, "the size of a step is positive.");
    if (from + size > unit->stop + 1e-9 * fabs(unit->stop) + 1e-300)
        return complain(unit, "the step ends after the stop time.");
    if (move(unit, from + size) != STATUS_OK) return STATUS_ERROR;
    return refresh(unit);
}

static int begin(Unit *unit, double start, int has_stop, double stop)
{
    if (has_stop && !(stop >= start)) return complain(unit, "the stop time is before the start time.");
    unit->stop = has_stop ? stop : HUGE_VAL;
    return move(unit, start);
}

static int keep(Unit *unit, void **state)
{
    Saved *saved = (Saved *)(*state ? *state : calloc(1, sizeof(Saved)));
    if (!saved) return complain(unit, "no memory.");
    *saved = unit->now;
    *state = saved;
    return STATUS_OK;
}

static int put_back(Unit *unit, const void *state)
{
    if (!state) return complain(unit, "there is no state to go back to.");
    unit->now = *(const Saved *)state;
    unit->stale = 1;
    return STATUS_OK;
}

static int drop(void **state)
{
    if (state) {
        free(*state);
        *state = NULL;
    }
    return STATUS_OK;
}

static int written(Unit *unit, const void *state, void *bytes, size_t size)
{
    if (!state || size != sizeof(Saved)) return complain(unit, "the state has another size.");
    memcpy(bytes, state, sizeof(Saved));
    return STATUS_OK;
}

static int read_back(Unit *unit, const void *bytes, size_t size, void **state)
{
    Saved *saved;
    int i;
    if (size != sizeof(Saved)) return complain(unit, "the state has another size.");
    saved = (Saved *)calloc(1, sizeof(Saved));
    if (!saved) return complain(unit, "no memory.");
    memcpy(saved, bytes, sizeof(Saved));
    for (i = 0; i < PARAMETERS; i++) {
        if (!(saved->mu[i] >= low[i] && saved->mu[i] <= high[i])) {
            free(saved);
            return complain(unit, "the state is damaged: a parameter is outside its range.");
        }
    }
    drop(state);
    *state = saved;
    return STATUS_OK;
}
"""
