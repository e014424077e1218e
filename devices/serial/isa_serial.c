/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/serial/isa_serial.h"

#include "devices/serial/uart16550.h"
#include "migration/vmstate.h"

typedef struct IsaSerial {
    Device base;

    /* fixed after creation */
    IsaSerialConfig config;
    bool mapped;

    Uart16550 uart; /* has its own lock */
} IsaSerial;

/* Guests use bytes; a wider access touches the registers one after the other, as ISA does. */
static uint64_t isa_serial_read(void *opaque, uint64_t offset, unsigned size)
{
    IsaSerial *s = opaque;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)uart16550_read(&s->uart, (unsigned)offset + i) << (8 * i);
    }
    return value;
}

static void isa_serial_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    IsaSerial *s = opaque;

    for (unsigned i = 0; i < size; i++) {
        uart16550_write(&s->uart, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
    }
}

static const BusOps isa_serial_bus_ops = {.read = isa_serial_read, .write = isa_serial_write};

static bool isa_serial_realize(Device *dev, GError **error)
{
    IsaSerial *s = (IsaSerial *)dev;
    const Uart16550Config uart_config = {
        .irq = s->config.irq,
        .chardev = s->config.chardev,
        .loop = s->config.loop,
    };

    if (!uart16550_connect(&s->uart, &uart_config, error)) {
        return false;
    }
    s->mapped = bus_map(s->config.ports,
                        &(BusWindow){.base = s->config.port,
                                     .size = ISA_SERIAL_PORTS,
                                     .owner = dev->id,
                                     .ops = &isa_serial_bus_ops,
                                     .opaque = s},
                        error);
    return s->mapped;
}

static void isa_serial_reset(Device *dev)
{
    uart16550_reset(&((IsaSerial *)dev)->uart);
}

static bool isa_serial_drain(Device *dev, GError **error)
{
    (void)error;
    uart16550_drain(&((IsaSerial *)dev)->uart);
    return true;
}

static void isa_serial_resume(Device *dev)
{
    uart16550_resume(&((IsaSerial *)dev)->uart);
}

static void isa_serial_finalize(Device *dev)
{
    IsaSerial *s = (IsaSerial *)dev;

    if (s->mapped) {
        bus_unmap(s->config.ports, s->config.port);
    }
    uart16550_fini(&s->uart);
}

static const VmStateField isa_serial_fields[] = {
    VMSTATE_FIELD_STRUCT(IsaSerial, uart, Uart16550, &uart16550_vmstate, 1),
};

const VmStateDesc isa_serial_vmstate = {
    .name = "isa-serial",
    .version = 1,
    .min_version = 1,
    .fields = isa_serial_fields,
    .num_fields = G_N_ELEMENTS(isa_serial_fields),
};

const DeviceOps isa_serial_ops = {
    .name = "isa-serial",
    .realize = isa_serial_realize,
    .reset = isa_serial_reset,
    .drain = isa_serial_drain,
    .resume = isa_serial_resume,
    .finalize = isa_serial_finalize,
    .vmstate = &isa_serial_vmstate,
};

Device *isa_serial_new(const char *id, const IsaSerialConfig *config)
{
    IsaSerial *s = device_alloc(&isa_serial_ops, id, sizeof(*s));

    s->config = *config;
    uart16550_init(&s->uart);
    return &s->base;
}
