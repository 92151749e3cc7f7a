"""C text of the functions of FMI 3.0."""

from __future__ import annotations

__all__ = ["FMI_3"]

#: Follows `romflow.export.compiled.unit.UNIT`.
FMI_3 = r"""
#include <stdbool.h>
#include <stdint.h>

typedef void *fmi3Instance;
typedef unsigned fmi3ValueReference;
typedef int fmi3Status;
typedef const char *fmi3String;
typedef const uint8_t *fmi3Binary;
typedef void (*fmi3Log)(void *, fmi3Status, fmi3String, fmi3String);
typedef void (*fmi3IntermediateUpdate)(void *, double, bool, bool, bool, bool, bool *, double *);
typedef void (*fmi3ClockUpdate)(void *);
typedef void (*fmi3Preemption)(void);

#define NOTHING
#define REFERENCES const fmi3ValueReference vr[], size_t n

static void say(Unit *unit, int status, const char *message)
{
    fmi3Log log;
    memcpy(&log, &unit->logger, sizeof log);
    if (log) log(unit->environment, status, "logStatusError", message);
}

EXPORT const char *fmi3GetVersion(void) { return "3.0"; }

EXPORT fmi3Status fmi3SetDebugLogging(fmi3Instance c, bool on, size_t n, const fmi3String categories[])
{
    (void)n; (void)categories;
    ((Unit *)c)->loud = on;
    return STATUS_OK;
}

static fmi3Instance instance(fmi3String name, fmi3String token, bool loud, void *environment, fmi3Log log)
{
    Unit *unit = made(name, token, TOKEN);
    if (!unit) {
        if (log)
            log(environment, STATUS_ERROR, "logStatusError",
                "the unit cannot be made: no memory, or the instantiation token is that of another unit.");
        return NULL;
    }
    memcpy(&unit->logger, &log, sizeof unit->logger);
    unit->environment = environment;
    unit->loud = loud;
    return unit;
}

EXPORT fmi3Instance fmi3InstantiateModelExchange(fmi3String name, fmi3String token, fmi3String resources, bool visible,
                                                 bool loud, void *environment, fmi3Log log)
{
    (void)resources; (void)visible;
    return instance(name, token, loud, environment, log);
}

EXPORT fmi3Instance fmi3InstantiateCoSimulation(fmi3String name, fmi3String token, fmi3String resources, bool visible,
                                                bool loud, bool events, bool early_return,
                                                const fmi3ValueReference required[], size_t n, void *environment,
                                                fmi3Log log, fmi3IntermediateUpdate update)
{
    (void)resources; (void)visible; (void)events; (void)early_return; (void)required; (void)n; (void)update;
    return instance(name, token, loud, environment, log);
}

EXPORT fmi3Instance fmi3InstantiateScheduledExecution(fmi3String name, fmi3String token, fmi3String resources,
                                                      bool visible, bool loud, void *environment, fmi3Log log,
                                                      fmi3ClockUpdate update, fmi3Preemption lock,
                                                      fmi3Preemption unlock)
{
    (void)name; (void)token; (void)resources; (void)visible; (void)loud; (void)update; (void)lock; (void)unlock;
    if (log) log(environment, STATUS_ERROR, "logStatusError", "the unit has no scheduled execution.");
    return NULL;
}

EXPORT void fmi3FreeInstance(fmi3Instance c) { gone((Unit *)c); }

EXPORT fmi3Status fmi3EnterInitializationMode(fmi3Instance c, bool has_tolerance, double tolerance, double start,
                                              bool has_stop, double stop)
{
    (void)has_tolerance; (void)tolerance;
    return begin((Unit *)c, start, has_stop, stop);
}

EXPORT fmi3Status fmi3ExitInitializationMode(fmi3Instance c)
{
    ((Unit *)c)->running = 1;
    return refresh((Unit *)c);
}

EXPORT fmi3Status fmi3EnterEventMode(fmi3Instance c) { (void)c; return STATUS_OK; }

EXPORT fmi3Status fmi3Terminate(fmi3Instance c) { ((Unit *)c)->running = 0; return STATUS_OK; }

EXPORT fmi3Status fmi3Reset(fmi3Instance c) { restart((Unit *)c); return STATUS_OK; }

EXPORT fmi3Status fmi3GetFloat64(fmi3Instance c, REFERENCES, double value[], size_t size)
{
    size_t i;
    int status = n == size ? STATUS_OK : complain((Unit *)c, "as many values as value references are needed.");
    for (i = 0; i < n && status == STATUS_OK; i++) status = take((Unit *)c, vr[i], value + i);
    return status;
}

EXPORT fmi3Status fmi3SetFloat64(fmi3Instance c, REFERENCES, const double value[], size_t size)
{
    size_t i;
    int status = n == size ? STATUS_OK : complain((Unit *)c, "as many values as value references are needed.");
    for (i = 0; i < n && status == STATUS_OK; i++) status = put((Unit *)c, vr[i], value[i]);
    return status;
}

#define NO_VARIABLES(function, constant, type)                                                          \
    EXPORT fmi3Status function(fmi3Instance c, REFERENCES, constant type value[], size_t size);         \
    EXPORT fmi3Status function(fmi3Instance c, REFERENCES, constant type value[], size_t size)          \
    {                                                                                                   \
        (void)vr; (void)value; (void)size;                                                              \
        return n ? complain((Unit *)c, "the unit has variables of the type Float64 only.") : STATUS_OK; \
    }

NO_VARIABLES(fmi3GetFloat32, NOTHING, float)
NO_VARIABLES(fmi3GetInt8, NOTHING, int8_t)
NO_VARIABLES(fmi3GetUInt8, NOTHING, uint8_t)
NO_VARIABLES(fmi3GetInt16, NOTHING, int16_t)
NO_VARIABLES(fmi3GetUInt16, NOTHING, uint16_t)
NO_VARIABLES(fmi3GetInt32, NOTHING, int32_t)
NO_VARIABLES(fmi3GetUInt32, NOTHING, uint32_t)
NO_VARIABLES(fmi3GetInt64, NOTHING, int64_t)
NO_VARIABLES(fmi3GetUInt64, NOTHING, uint64_t)
NO_VARIABLES(fmi3GetBoolean, NOTHING, bool)
NO_VARIABLES(fmi3GetString, NOTHING, fmi3String)
NO_VARIABLES(fmi3SetFloat32, const, float)
NO_VARIABLES(fmi3SetInt8, const, int8_t)
NO_VARIABLES(fmi3SetUInt8, const, uint8_t)
NO_VARIABLES(fmi3SetInt16, const, int16_t)
NO_VARIABLES(fmi3SetUInt16, const, uint16_t)
NO_VARIABLES(fmi3SetInt32, const, int32_t)
NO_VARIABLES(fmi3SetUInt32, const, uint32_t)
NO_VARIABLES(fmi3SetInt64, const, int64_t)
NO_VARIABLES(fmi3SetUInt64, const, uint64_t)
NO_VARIABLES(fmi3SetBoolean, const, bool)
NO_VARIABLES(fmi3SetString, const, fmi3String)

#define WITHOUT(function, arguments, used, message)      \
    EXPORT fmi3Status function arguments;                \
    EXPORT fmi3Status function arguments                 \
    {                                                    \
        used;                                            \
        return complain((Unit *)c, message);             \
    }
#define NO_CLOCKS(function, arguments, used) WITHOUT(function, arguments, used, "the unit has no clocks.")
#define UNUSED(name) (void)name
#define REFERENCED UNUSED(vr), UNUSED(n)

WITHOUT(fmi3GetBinary, (fmi3Instance c, REFERENCES, size_t sizes[], fmi3Binary value[], size_t size),
        (REFERENCED, UNUSED(sizes), UNUSED(value), UNUSED(size)), "the unit has variables of the type Float64 only.")
WITHOUT(fmi3SetBinary, (fmi3Instance c, REFERENCES, const size_t sizes[], const fmi3Binary value[], size_t size),
        (REFERENCED, UNUSED(sizes), UNUSED(value), UNUSED(size)), "the unit has variables of the type Float64 only.")
NO_CLOCKS(fmi3GetClock, (fmi3Instance c, REFERENCES, bool value[]), (REFERENCED, UNUSED(value)))
NO_CLOCKS(fmi3SetClock, (fmi3Instance c, REFERENCES, const bool value[]), (REFERENCED, UNUSED(value)))
NO_CLOCKS(fmi3GetIntervalDecimal, (fmi3Instance c, REFERENCES, double value[], int kind[]),
          (REFERENCED, UNUSED(value), UNUSED(kind)))
NO_CLOCKS(fmi3GetIntervalFraction, (fmi3Instance c, REFERENCES, uint64_t counter[], uint64_t resolution[], int kind[]),
          (REFERENCED, UNUSED(counter), UNUSED(resolution), UNUSED(kind)))
NO_CLOCKS(fmi3GetShiftDecimal, (fmi3Instance c, REFERENCES, double value[]), (REFERENCED, UNUSED(value)))
NO_CLOCKS(fmi3GetShiftFraction, (fmi3Instance c, REFERENCES, uint64_t counter[], uint64_t resolution[]),
          (REFERENCED, UNUSED(counter), UNUSED(resolution)))
NO_CLOCKS(fmi3SetIntervalDecimal, (fmi3Instance c, REFERENCES, const double value[]), (REFERENCED, UNUSED(value)))
NO_CLOCKS(fmi3SetIntervalFraction,
          (fmi3Instance c, REFERENCES, const uint64_t counter[], const uint64_t resolution[]),
          (REFERENCED, UNUSED(counter), UNUSED(resolution)))
NO_CLOCKS(fmi3SetShiftDecimal, (fmi3Instance c, REFERENCES, const double value[]), (REFERENCED, UNUSED(value)))
NO_CLOCKS(fmi3SetShiftFraction, (fmi3Instance c, REFERENCES, const uint64_t counter[], const uint64_t resolution[]),
          (REFERENCED, UNUSED(counter), UNUSED(resolution)))
NO_CLOCKS(fmi3ActivateModelPartition, (fmi3Instance c, fmi3ValueReference clock, double time),
          (UNUSED(clock), UNUSED(time)))
WITHOUT(fmi3GetNumberOfVariableDependencies, (fmi3Instance c, fmi3ValueReference vr, size_t *n), (REFERENCED),
        "the unit does not list dependencies.")
WITHOUT(fmi3GetVariableDependencies,
        (fmi3Instance c, fmi3ValueReference vr, size_t rows[], fmi3ValueReference independents[], size_t columns[],
         int kinds[], size_t n),
        (REFERENCED, UNUSED(rows), UNUSED(independents), UNUSED(columns), UNUSED(kinds)),
        "the unit does not list dependencies.")
#define DERIVATIVE (fmi3Instance c, REFERENCES, const fmi3ValueReference knowns[], size_t k, const double seed[], \
                    size_t seeds, double value[], size_t size)
#define DERIVATIVE_UNUSED \
    (REFERENCED, UNUSED(knowns), UNUSED(k), UNUSED(seed), UNUSED(seeds), UNUSED(value), UNUSED(size))
WITHOUT(fmi3GetDirectionalDerivative, DERIVATIVE, DERIVATIVE_UNUSED, "the unit gives no directional derivatives.")
WITHOUT(fmi3GetAdjointDerivative, DERIVATIVE, DERIVATIVE_UNUSED, "the unit gives no adjoint derivatives.")
WITHOUT(fmi3EnterConfigurationMode, (fmi3Instance c), (UNUSED(c)), "the unit has no structural parameters.")
WITHOUT(fmi3ExitConfigurationMode, (fmi3Instance c), (UNUSED(c)), "the unit has no structural parameters.")
WITHOUT(fmi3GetOutputDerivatives, (fmi3Instance c, REFERENCES, const int32_t orders[], double value[], size_t size),
        (REFERENCED, UNUSED(orders), UNUSED(value), UNUSED(size)), "the unit gives no derivatives of outputs.")

EXPORT fmi3Status fmi3GetFMUState(fmi3Instance c, void **state) { return keep((Unit *)c, state); }

EXPORT fmi3Status fmi3SetFMUState(fmi3Instance c, void *state) { return put_back((Unit *)c, state); }

EXPORT fmi3Status fmi3FreeFMUState(fmi3Instance c, void **state) { (void)c; return drop(state); }

EXPORT fmi3Status fmi3SerializedFMUStateSize(fmi3Instance c, void *state, size_t *size)
{
    (void)c; (void)state;
    *size = sizeof(Saved);
    return STATUS_OK;
}

EXPORT fmi3Status fmi3SerializeFMUState(fmi3Instance c, void *state, uint8_t bytes[], size_t size)
{
    return written((Unit *)c, state, bytes, size);
}

EXPORT fmi3Status fmi3DeserializeFMUState(fmi3Instance c, const uint8_t bytes[], size_t size, void **state)
{
    return read_back((Unit *)c, bytes, size, state);
}

EXPORT fmi3Status fmi3EvaluateDiscreteStates(fmi3Instance c) { (void)c; return STATUS_OK; }

EXPORT fmi3Status fmi3UpdateDiscreteStates(fmi3Instance c, bool *again, bool *terminate, bool *nominals_changed,
                                           bool *states_changed, bool *has_next_event, double *next_event)
{
    (void)c;
    *again = *terminate = *nominals_changed = *states_changed = *has_next_event = false;
    *next_event = 0.0;
    return STATUS_OK;
}

EXPORT fmi3Status fmi3EnterContinuousTimeMode(fmi3Instance c) { (void)c; return STATUS_OK; }

EXPORT fmi3Status fmi3CompletedIntegratorStep(fmi3Instance c, bool final, bool *event, bool *terminate)
{
    (void)c; (void)final;
    *event = false;
    *terminate = false;
    return STATUS_OK;
}

EXPORT fmi3Status fmi3SetTime(fmi3Instance c, double time) { return look((Unit *)c, time); }

#define NO_STATES(function, constant)                                                        \
    EXPORT fmi3Status function(fmi3Instance c, constant double value[], size_t n);           \
    EXPORT fmi3Status function(fmi3Instance c, constant double value[], size_t n)            \
    {                                                                                        \
        (void)value;                                                                         \
        return n ? complain((Unit *)c, "the unit has no states and no events.") : STATUS_OK; \
    }

NO_STATES(fmi3SetContinuousStates, const)
NO_STATES(fmi3GetContinuousStateDerivatives, NOTHING)
NO_STATES(fmi3GetEventIndicators, NOTHING)
NO_STATES(fmi3GetContinuousStates, NOTHING)
NO_STATES(fmi3GetNominalsOfContinuousStates, NOTHING)

EXPORT fmi3Status fmi3GetNumberOfEventIndicators(fmi3Instance c, size_t *n) { (void)c; *n = 0; return STATUS_OK; }

EXPORT fmi3Status fmi3GetNumberOfContinuousStates(fmi3Instance c, size_t *n) { (void)c; *n = 0; return STATUS_OK; }

EXPORT fmi3Status fmi3EnterStepMode(fmi3Instance c) { (void)c; return STATUS_OK; }

EXPORT fmi3Status fmi3DoStep(fmi3Instance c, double from, double size, bool final, bool *event, bool *terminate,
                             bool *early, double *last)
{
    int status;
    (void)final;
    *event = *terminate = *early = false;
    status = step((Unit *)c, from, size);
    *last = ((Unit *)c)->now.time;
    return status;
}
"""
