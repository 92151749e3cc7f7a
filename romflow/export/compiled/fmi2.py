"""C text of the functions of FMI 2.0."""

from __future__ import annotations

__all__ = ["FMI_2"]

#: Follows `romflow.export.compiled.unit.UNIT`.
FMI_2 = r"""
typedef void *fmi2Component;
typedef int fmi2Boolean;
typedef unsigned fmi2ValueReference;
typedef int fmi2Status;
typedef const char *fmi2String;
typedef void (*fmi2Logger)(void *, fmi2String, fmi2Status, fmi2String, fmi2String, ...);

typedef struct {
    fmi2Logger logger;
    void *(*allocate)(size_t, size_t);
    void (*release)(void *);
    void (*step_finished)(void *, fmi2Status);
    void *environment;
} fmi2Callbacks;

typedef struct {
    fmi2Boolean again, terminate, nominals_changed, states_changed, has_next_event;
    double next_event;
} fmi2EventInfo;

static void say(Unit *unit, int status, const char *message)
{
    fmi2Logger logger;
    memcpy(&logger, &unit->logger, sizeof logger);
    if (logger) logger(unit->environment, unit->name, status, "logStatusError", message);
}

EXPORT const char *fmi2GetTypesPlatform(void) { return "default"; }

EXPORT const char *fmi2GetVersion(void) { return "2.0"; }

EXPORT fmi2Status fmi2SetDebugLogging(fmi2Component c, fmi2Boolean on, size_t n, const fmi2String categories[])
{
    (void)n; (void)categories;
    ((Unit *)c)->loud = on;
    return STATUS_OK;
}

EXPORT fmi2Component fmi2Instantiate(fmi2String name, int type, fmi2String guid, fmi2String resources,
                                     const fmi2Callbacks *functions, fmi2Boolean visible, fmi2Boolean loud)
{
    Unit *unit;
    (void)type; (void)resources; (void)visible;
    if (!functions) return NULL;
    unit = made(name, guid, TOKEN);
    if (!unit) {
        if (functions->logger)
            functions->logger(functions->environment, name, STATUS_ERROR, "logStatusError",
                              "the unit cannot be made: no memory, or the GUID is that of another unit.");
        return NULL;
    }
    memcpy(&unit->logger, &functions->logger, sizeof unit->logger);
    unit->environment = functions->environment;
    unit->loud = loud;
    return unit;
}

EXPORT void fmi2FreeInstance(fmi2Component c) { gone((Unit *)c); }

EXPORT fmi2Status fmi2SetupExperiment(fmi2Component c, fmi2Boolean has_tolerance, double tolerance, double start,
                                      fmi2Boolean has_stop, double stop)
{
    (void)has_tolerance; (void)tolerance;
    return begin((Unit *)c, start, has_stop, stop);
}

EXPORT fmi2Status fmi2EnterInitializationMode(fmi2Component c) { (void)c; return STATUS_OK; }

EXPORT fmi2Status fmi2ExitInitializationMode(fmi2Component c)
{
    ((Unit *)c)->running = 1;
    return refresh((Unit *)c);
}

EXPORT fmi2Status fmi2Terminate(fmi2Component c) { ((Unit *)c)->running = 0; return STATUS_OK; }

EXPORT fmi2Status fmi2Reset(fmi2Component c) { restart((Unit *)c); return STATUS_OK; }

EXPORT fmi2Status fmi2GetReal(fmi2Component c, const fmi2ValueReference vr[], size_t n, double value[])
{
    size_t i;
    int status = STATUS_OK;
    for (i = 0; i < n && status == STATUS_OK; i++) status = take((Unit *)c, vr[i], value + i);
    return status;
}

EXPORT fmi2Status fmi2SetReal(fmi2Component c, const fmi2ValueReference vr[], size_t n, const double value[])
{
    size_t i;
    int status = STATUS_OK;
    for (i = 0; i < n && status == STATUS_OK; i++) status = put((Unit *)c, vr[i], value[i]);
    return status;
}

#define NO_VARIABLES(function, constant, type)                                                                   \
    EXPORT fmi2Status function(fmi2Component c, const fmi2ValueReference vr[], size_t n, constant type value[]); \
    EXPORT fmi2Status function(fmi2Component c, const fmi2ValueReference vr[], size_t n, constant type value[])  \
    {                                                                                                            \
        (void)vr; (void)value;                                                                                   \
        return n ? complain((Unit *)c, "the unit has variables of the type Real only.") : STATUS_OK;             \
    }
#define NOTHING

NO_VARIABLES(fmi2GetInteger, NOTHING, int)
NO_VARIABLES(fmi2GetBoolean, NOTHING, fmi2Boolean)
NO_VARIABLES(fmi2GetString, NOTHING, fmi2String)
NO_VARIABLES(fmi2SetInteger, const, int)
NO_VARIABLES(fmi2SetBoolean, const, fmi2Boolean)
NO_VARIABLES(fmi2SetString, const, fmi2String)

EXPORT fmi2Status fmi2GetFMUstate(fmi2Component c, void **state) { return keep((Unit *)c, state); }

EXPORT fmi2Status fmi2SetFMUstate(fmi2Component c, void *state) { return put_back((Unit *)c, state); }

EXPORT fmi2Status fmi2FreeFMUstate(fmi2Component c, void **state) { (void)c; return drop(state); }

EXPORT fmi2Status fmi2SerializedFMUstateSize(fmi2Component c, void *state, size_t *size)
{
    (void)c; (void)state;
    *size = sizeof(Saved);
    return STATUS_OK;
}

EXPORT fmi2Status fmi2SerializeFMUstate(fmi2Component c, void *state, char bytes[], size_t size)
{
    return written((Unit *)c, state, bytes, size);
}

EXPORT fmi2Status fmi2DeSerializeFMUstate(fmi2Component c, const char bytes[], size_t size, void **state)
{
    return read_back((Unit *)c, bytes, size, state);
}

EXPORT fmi2Status fmi2GetDirectionalDerivative(fmi2Component c, const fmi2ValueReference unknown[], size_t n,
                                               const fmi2ValueReference known[], size_t k, const double dv[],
                                               double du[])
{
    (void)unknown; (void)n; (void)known; (void)k; (void)dv; (void)du;
    return complain((Unit *)c, "the unit gives no directional derivatives.");
}

EXPORT fmi2Status fmi2EnterEventMode(fmi2Component c) { (void)c; return STATUS_OK; }

EXPORT fmi2Status fmi2NewDiscreteStates(fmi2Component c, fmi2EventInfo *info)
{
    (void)c;
    memset(info, 0, sizeof *info);
    return STATUS_OK;
}

EXPORT fmi2Status fmi2EnterContinuousTimeMode(fmi2Component c) { (void)c; return STATUS_OK; }

EXPORT fmi2Status fmi2CompletedIntegratorStep(fmi2Component c, fmi2Boolean final, fmi2Boolean *event,
                                              fmi2Boolean *terminate)
{
    (void)c; (void)final;
    *event = 0;
    *terminate = 0;
    return STATUS_OK;
}

EXPORT fmi2Status fmi2SetTime(fmi2Component c, double time) { return look((Unit *)c, time); }

#define NO_STATES(function, constant)                                                            \
    EXPORT fmi2Status function(fmi2Component c, constant double value[], size_t n);              \
    EXPORT fmi2Status function(fmi2Component c, constant double value[], size_t n)               \
    {                                                                                            \
        (void)value;                                                                             \
        return n ? complain((Unit *)c, "the unit has no states and no events.") : STATUS_OK;     \
    }

NO_STATES(fmi2SetContinuousStates, const)
NO_STATES(fmi2GetDerivatives, NOTHING)
NO_STATES(fmi2GetEventIndicators, NOTHING)
NO_STATES(fmi2GetContinuousStates, NOTHING)
NO_STATES(fmi2GetNominalsOfContinuousStates, NOTHING)

EXPORT fmi2Status fmi2SetRealInputDerivatives(fmi2Component c, const fmi2ValueReference vr[], size_t n,
                                              const int order[], const double value[])
{
    (void)vr; (void)order; (void)value;
    return n ? complain((Unit *)c, "the unit has no inputs.") : STATUS_OK;
}

EXPORT fmi2Status fmi2GetRealOutputDerivatives(fmi2Component c, const fmi2ValueReference vr[], size_t n,
                                               const int order[], double value[])
{
    (void)vr; (void)order; (void)value;
    return n ? complain((Unit *)c, "the unit gives no derivatives of outputs.") : STATUS_OK;
}

EXPORT fmi2Status fmi2DoStep(fmi2Component c, double from, double size, fmi2Boolean final)
{
    (void)final;
    return step((Unit *)c, from, size);
}

EXPORT fmi2Status fmi2CancelStep(fmi2Component c) { return complain((Unit *)c, "no step is under way."); }

EXPORT fmi2Status fmi2GetStatus(fmi2Component c, int what, fmi2Status *value)
{
    (void)c; (void)what; (void)value;
    return STATUS_DISCARD;
}

EXPORT fmi2Status fmi2GetRealStatus(fmi2Component c, int what, double *value)
{
    enum { LAST_SUCCESSFUL_TIME = 2 };
    if (what != LAST_SUCCESSFUL_TIME) return STATUS_DISCARD;
    *value = ((Unit *)c)->now.time;
    return STATUS_OK;
}

EXPORT fmi2Status fmi2GetIntegerStatus(fmi2Component c, int what, int *value)
{
    (void)c; (void)what; (void)value;
    return STATUS_DISCARD;
}

EXPORT fmi2Status fmi2GetBooleanStatus(fmi2Component c, int what, fmi2Boolean *value)
{
    enum { TERMINATED = 3 };
    (void)c;
    if (what != TERMINATED) return STATUS_DISCARD;
    *value = 0;
    return STATUS_OK;
}

EXPORT fmi2Status fmi2GetStringStatus(fmi2Component c, int what, fmi2String *value)
{
    (void)c; (void)what; (void)value;
    return STATUS_DISCARD;
}
"""
