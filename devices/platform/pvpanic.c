/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/pvpanic.h"

#include "migration/vmstate.h"
#include "util/error.h"

typedef struct Pvpanic {
    Device base;

    /* fixed after creation */
    PvpanicConfig config;
    bool mapped;
} Pvpanic;

static uint64_t pvpanic_read(void *opaque, uint64_t offset, unsigned size)
{
    const Pvpanic *s = opaque;

    (void)offset;
    (void)size;
    return s->config.events;
}

static void pvpanic_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    const Pvpanic *s = opaque;

    (void)offset;
    (void)size;
    for (uint8_t bit = PVPANIC_PANICKED; bit <= PVPANIC_CRASHLOADED; bit <<= 1) {
        if (value & s->config.events & bit) {
            request_make(&s->config.report, bit);
        }
    }
}

static const BusOps pvpanic_bus_ops = {.read = pvpanic_read, .write = pvpanic_write};

static bool pvpanic_realize(Device *dev, GError **error)
{
    Pvpanic *s = (Pvpanic *)dev;

    if (s->config.events & ~(PVPANIC_PANICKED | PVPANIC_CRASHLOADED)) {
        return fail(error, VMM_ERROR_CONFIG, "events %u, expected 0 to 3", s->config.events);
    }
    s->mapped = bus_map(s->config.ports,
                        &(BusWindow){.base = s->config.port,
                                     .size = 1,
                                     .owner = dev->id,
                                     .ops = &pvpanic_bus_ops,
                                     .opaque = s},
                        error);
    return s->mapped;
}

static void pvpanic_finalize(Device *dev)
{
    Pvpanic *s = (Pvpanic *)dev;

    if (s->mapped) {
        bus_unmap(s->config.ports, s->config.port);
    }
}

/* What was reported is the machine's to remember. */
const VmStateDesc pvpanic_vmstate = {
    .name = "pvpanic",
    .version = 1,
    .min_version = 1,
};

const DeviceOps pvpanic_ops = {
    .name = "pvpanic",
    .realize = pvpanic_realize,
    .finalize = pvpanic_finalize,
    .vmstate = &pvpanic_vmstate,
};

Device *pvpanic_new(const char *id, const PvpanicConfig *config)
{
    Pvpanic *s = device_alloc(&pvpanic_ops, id, sizeof(*s));

    s->config = *config;
    return &s->base;
}
