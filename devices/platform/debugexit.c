/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/debugexit.h"

#include "migration/vmstate.h"
#include "util/error.h"

typedef struct Debugexit {
    Device base;

    /* fixed after creation */
    DebugexitConfig config;
    bool mapped;
} Debugexit;

static uint64_t debugexit_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

static void debugexit_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    const Debugexit *s = opaque;

    (void)offset;
    (void)size;
    request_make(&s->config.exit, (uint32_t)value << 1 | 1);
}

static const BusOps debugexit_bus_ops = {.read = debugexit_read, .write = debugexit_write};

static bool debugexit_realize(Device *dev, GError **error)
{
    Debugexit *s = (Debugexit *)dev;
    unsigned n = s->config.n_ports;

    if (n != 1 && n != 2 && n != 4) {
        return fail(error, VMM_ERROR_CONFIG, "%u ports, expected 1, 2 or 4", n);
    }
    s->mapped = bus_map(s->config.ports,
                        &(BusWindow){.base = s->config.port,
                                     .size = n,
                                     .owner = dev->id,
                                     .ops = &debugexit_bus_ops,
                                     .opaque = s},
                        error);
    return s->mapped;
}

static void debugexit_finalize(Device *dev)
{
    Debugexit *s = (Debugexit *)dev;

    if (s->mapped) {
        bus_unmap(s->config.ports, s->config.port);
    }
}

/* It keeps nothing, and says so. */
const VmStateDesc debugexit_vmstate = {
    .name = "isa-debug-exit",
    .version = 1,
    .min_version = 1,
};

const DeviceOps debugexit_ops = {
    .name = "isa-debug-exit",
    .realize = debugexit_realize,
    .finalize = debugexit_finalize,
    .vmstate = &debugexit_vmstate,
};

Device *debugexit_new(const char *id, const DebugexitConfig *config)
{
    Debugexit *s = device_alloc(&debugexit_ops, id, sizeof(*s));

    s->config = *config;
    return &s->base;
}
