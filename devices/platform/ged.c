/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/ged.h"

#include "migration/vmstate.h"
#include "util/lock.h"

#define SLEEP_ENABLE     0x20
#define SLEEP_TYPE_SHIFT 2
#define SLEEP_TYPE_MASK  7

typedef struct Ged {
    Device base;

    /* fixed after creation */
    GedConfig config;
    bool mapped;

    Mutex lock;
    /* guarded by lock */
    uint32_t events;
} Ged;

/*
 * Every event has its edge: one that was lost must not silence those after it.  The wire stays up
 * for a pin that is masked now, as before the guest has a driver.
 */
static void ged_interrupt_locked(Ged *s) REQUIRES(s->lock)
{
    irq_set(&s->config.irq, false);
    irq_set(&s->config.irq, true);
}

void ged_raise(Device *ged, unsigned bit)
{
    Ged *s = (Ged *)ged;

    mutex_lock(&s->lock);
    s->events |= UINT32_C(1) << (bit & 31);
    ged_interrupt_locked(s);
    mutex_unlock(&s->lock);
}

static uint64_t ged_read(void *opaque, uint64_t offset, unsigned size)
{
    Ged *s = opaque;
    uint32_t value = 0;

    (void)size;
    if (offset == GED_EVENT) {
        mutex_lock(&s->lock);
        value = s->events;
        s->events = 0;
        irq_set(&s->config.irq, false);
        mutex_unlock(&s->lock);
    }
    return value;
}

static void ged_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    const Ged *s = opaque;

    (void)size;
    if (offset == GED_SLEEP_CONTROL && (value & SLEEP_ENABLE) &&
        (value >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK) == s->config.s5_sleep_type) {
        request_make(&s->config.power_off, 0);
    } else if (offset == GED_RESET && (uint8_t)value == s->config.reset_value) {
        request_make(&s->config.reset, 0);
    }
}

static const BusOps ged_bus_ops = {.read = ged_read, .write = ged_write};

static bool ged_realize(Device *dev, GError **error)
{
    Ged *s = (Ged *)dev;

    s->mapped = bus_map(s->config.mmio,
                        &(BusWindow){.base = s->config.base,
                                     .size = GED_MMIO_SIZE,
                                     .owner = dev->id,
                                     .ops = &ged_bus_ops,
                                     .opaque = s},
                        error);
    return s->mapped;
}

static void ged_reset(Device *dev)
{
    Ged *s = (Ged *)dev;

    mutex_lock(&s->lock);
    s->events = 0;
    irq_set(&s->config.irq, false);
    mutex_unlock(&s->lock);
}

/* An edge too many makes the guest read a register of zeroes; one too few makes it deaf. */
static void ged_resume(Device *dev)
{
    Ged *s = (Ged *)dev;

    mutex_lock(&s->lock);
    if (s->events != 0) {
        ged_interrupt_locked(s);
    }
    mutex_unlock(&s->lock);
}

static void ged_finalize(Device *dev)
{
    Ged *s = (Ged *)dev;

    if (s->mapped) {
        bus_unmap(s->config.mmio, s->config.base);
    }
    mutex_fini(&s->lock);
}

static const VmStateField ged_fields[] = {
    VMSTATE_FIELD_U32(Ged, events, 1),
};

const VmStateDesc ged_vmstate = {
    .name = "acpi-ged",
    .version = 1,
    .min_version = 1,
    .fields = ged_fields,
    .num_fields = G_N_ELEMENTS(ged_fields),
};

const DeviceOps ged_ops = {
    .name = "acpi-ged",
    .realize = ged_realize,
    .reset = ged_reset,
    .resume = ged_resume,
    .finalize = ged_finalize,
    .vmstate = &ged_vmstate,
};

Device *ged_new(const char *id, const GedConfig *config)
{
    Ged *s = device_alloc(&ged_ops, id, sizeof(*s));

    s->config = *config;
    mutex_init(&s->lock);
    return &s->base;
}
