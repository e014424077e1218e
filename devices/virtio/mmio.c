/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers are 32 bits wide at multiples of 4, each with a reader and a writer in one table;
 * anything else below 0x100 reads as 0 and is not written.  From 0x100 on lies the device's
 * configuration space, in accesses of any size.
 *
 * Threads: vCPU threads.  The interrupt status is atomic, since the serving thread sets it.
 */
#include "devices/virtio/mmio.h"

#include "devices/virtio/transport.h"
#include "migration/vmstate.h"
#include "util/error.h"
#include "util/lock.h"

#define MAGIC        0x74726976 /* "virt" */
#define VERSION      2
#define VENDOR       0x4c4e5453 /* "STNL" */
#define CONFIG_SPACE 0x100
#define ALL_ONES     UINT32_MAX
#define ISR_BITS     (VIRTIO_INTERRUPT_QUEUE | VIRTIO_INTERRUPT_CONFIG)

typedef struct VirtioMmio {
    Device base;

    /* fixed after creation */
    VirtioDevice *dev; /* NULL: an empty slot */
    IrqLine irq;

    Mutex lock;
    /* guarded by lock */
    uint32_t device_features_select;
    uint32_t driver_features_select;
    uint32_t queue_select;

    /* atomic */
    uint32_t interrupt_status;

    /* held for one edge: whoever was told of the first may have looked before the second one's cause */
    Mutex wire;
} VirtioMmio;

static void virtio_mmio_pulse(VirtioMmio *mmio)
{
    mutex_lock(&mmio->wire);
    irq_set(&mmio->irq, true);
    irq_set(&mmio->irq, false);
    mutex_unlock(&mmio->wire);
}

static void virtio_mmio_interrupt(void *opaque, VirtioInterrupt kind, unsigned queue)
{
    VirtioMmio *mmio = opaque;

    (void)queue;
    __atomic_fetch_or(&mmio->interrupt_status, (uint32_t)kind, __ATOMIC_SEQ_CST);
    virtio_mmio_pulse(mmio);
}

/* --- registers: called with lock held --- */

static uint32_t read_magic(VirtioMmio *mmio)
{
    (void)mmio;
    return MAGIC;
}

static uint32_t read_version(VirtioMmio *mmio)
{
    (void)mmio;
    return VERSION;
}

static uint32_t read_device_id(VirtioMmio *mmio)
{
    return mmio->dev ? mmio->dev->ops->device_id : 0;
}

static uint32_t read_vendor(VirtioMmio *mmio)
{
    (void)mmio;
    return VENDOR;
}

static uint32_t read_features(VirtioMmio *mmio)
{
    return virtio_get_host_features(mmio->dev, mmio->device_features_select);
}

static void write_device_features_select(VirtioMmio *mmio, uint32_t value)
{
    mmio->device_features_select = value;
}

static void write_features(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_driver_features(mmio->dev, mmio->driver_features_select, value);
}

static void write_driver_features_select(VirtioMmio *mmio, uint32_t value)
{
    mmio->driver_features_select = value;
}

static void write_queue_select(VirtioMmio *mmio, uint32_t value)
{
    mmio->queue_select = value;
}

static uint32_t read_queue_max(VirtioMmio *mmio)
{
    return virtio_get_queue_max(mmio->dev, mmio->queue_select);
}

static void write_queue_size(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_queue_size(mmio->dev, mmio->queue_select, value);
}

static uint32_t read_queue_ready(VirtioMmio *mmio)
{
    return virtio_get_queue_ready(mmio->dev, mmio->queue_select);
}

static void write_queue_ready(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_queue_ready(mmio->dev, mmio->queue_select, value & 1);
}

static uint32_t read_interrupt_status(VirtioMmio *mmio)
{
    return __atomic_load_n(&mmio->interrupt_status, __ATOMIC_SEQ_CST);
}

static void write_interrupt_ack(VirtioMmio *mmio, uint32_t value)
{
    __atomic_fetch_and(&mmio->interrupt_status, ~value, __ATOMIC_SEQ_CST);
}

static uint32_t read_status(VirtioMmio *mmio)
{
    return virtio_get_status(mmio->dev);
}

static void write_status(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_status(mmio->dev, (uint8_t)value);
    if ((uint8_t)value == 0) {
        __atomic_store_n(&mmio->interrupt_status, 0, __ATOMIC_SEQ_CST);
    }
}

static void write_desc_low(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_queue_address(mmio->dev, mmio->queue_select, VIRTQ_AREA_DESC, 0, value);
}

static void write_desc_high(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_queue_address(mmio->dev, mmio->queue_select, VIRTQ_AREA_DESC, 1, value);
}

static void write_driver_low(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_queue_address(mmio->dev, mmio->queue_select, VIRTQ_AREA_DRIVER, 0, value);
}

static void write_driver_high(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_queue_address(mmio->dev, mmio->queue_select, VIRTQ_AREA_DRIVER, 1, value);
}

static void write_device_low(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_queue_address(mmio->dev, mmio->queue_select, VIRTQ_AREA_DEVICE, 0, value);
}

static void write_device_high(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_queue_address(mmio->dev, mmio->queue_select, VIRTQ_AREA_DEVICE, 1, value);
}

/* No device has a shared memory region: its length and base are -1. */
static uint32_t read_shared_memory(VirtioMmio *mmio)
{
    (void)mmio;
    return ALL_ONES;
}

/* A reset is over when the write returns, so that reading finds 0. */
static void write_queue_reset(VirtioMmio *mmio, uint32_t value)
{
    if (value & 1) {
        virtio_reset_queue(mmio->dev, mmio->queue_select);
    }
}

static uint32_t read_generation(VirtioMmio *mmio)
{
    return virtio_config_generation(mmio->dev);
}

typedef struct Register {
    uint32_t (*read)(VirtioMmio *mmio);
    void (*write)(VirtioMmio *mmio, uint32_t value);
} Register;

static const Register registers[CONFIG_SPACE / 4] = {
    [0x00 / 4] = {.read = read_magic},
    [0x04 / 4] = {.read = read_version},
    [0x08 / 4] = {.read = read_device_id},
    [0x0c / 4] = {.read = read_vendor},
    [0x10 / 4] = {.read = read_features},
    [0x14 / 4] = {.write = write_device_features_select},
    [0x20 / 4] = {.write = write_features},
    [0x24 / 4] = {.write = write_driver_features_select},
    [0x30 / 4] = {.write = write_queue_select},
    [0x34 / 4] = {.read = read_queue_max},
    [0x38 / 4] = {.write = write_queue_size},
    [0x44 / 4] = {.read = read_queue_ready, .write = write_queue_ready},
    [0x60 / 4] = {.read = read_interrupt_status},
    [0x64 / 4] = {.write = write_interrupt_ack},
    [0x70 / 4] = {.read = read_status, .write = write_status},
    [0x80 / 4] = {.write = write_desc_low},
    [0x84 / 4] = {.write = write_desc_high},
    [0x90 / 4] = {.write = write_driver_low},
    [0x94 / 4] = {.write = write_driver_high},
    [0xa0 / 4] = {.write = write_device_low},
    [0xa4 / 4] = {.write = write_device_high},
    [0xb0 / 4] = {.read = read_shared_memory},
    [0xb4 / 4] = {.read = read_shared_memory},
    [0xb8 / 4] = {.read = read_shared_memory},
    [0xbc / 4] = {.read = read_shared_memory},
    [0xc0 / 4] = {.write = write_queue_reset},
    [0xfc / 4] = {.read = read_generation},
};

/* NULL for an access that no register answers; an empty slot has only its first four. */
static const Register *find_register(const VirtioMmio *mmio, uint64_t offset, unsigned size)
{
    if (size != 4 || offset % 4 != 0 || (!mmio->dev && offset > 0x0c)) {
        return NULL;
    }
    return &registers[offset / 4];
}

static uint64_t virtio_mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    VirtioMmio *mmio = opaque;
    uint64_t value = 0;

    if (offset >= CONFIG_SPACE) {
        return mmio->dev ? virtio_config_read(mmio->dev, offset - CONFIG_SPACE, size) : 0;
    }

    const Register *reg = find_register(mmio, offset, size);

    if (reg && reg->read) {
        mutex_lock(&mmio->lock);
        value = reg->read(mmio);
        mutex_unlock(&mmio->lock);
    }
    return value;
}

static void virtio_mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    VirtioMmio *mmio = opaque;
    const Register *reg = offset < CONFIG_SPACE ? find_register(mmio, offset, size) : NULL;

    if (!mmio->dev) {
        return;
    }
    if (offset >= CONFIG_SPACE) {
        virtio_config_write(mmio->dev, offset - CONFIG_SPACE, size, value);
    } else if (offset == VIRTIO_MMIO_NOTIFY && size == 4) {
        virtio_kick(mmio->dev, (uint32_t)value); /* the fast path: no lock here */
    } else if (reg && reg->write) {
        mutex_lock(&mmio->lock);
        reg->write(mmio, (uint32_t)value);
        mutex_unlock(&mmio->lock);
    }
}

const BusOps virtio_mmio_bus_ops = {
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

/* --- life --- */

static void virtio_mmio_reset(Device *base)
{
    VirtioMmio *mmio = (VirtioMmio *)base;

    mutex_lock(&mmio->lock);
    mmio->device_features_select = 0;
    mmio->driver_features_select = 0;
    mmio->queue_select = 0;
    mutex_unlock(&mmio->lock);
    __atomic_store_n(&mmio->interrupt_status, 0, __ATOMIC_SEQ_CST);
}

/* An edge that was on its way when the state was saved may be lost; one too many is harmless. */
static void virtio_mmio_resume(Device *base)
{
    VirtioMmio *mmio = (VirtioMmio *)base;

    if (__atomic_load_n(&mmio->interrupt_status, __ATOMIC_SEQ_CST) != 0) {
        virtio_mmio_pulse(mmio);
    }
}

static void virtio_mmio_finalize(Device *base)
{
    VirtioMmio *mmio = (VirtioMmio *)base;

    mutex_fini(&mmio->wire);
    mutex_fini(&mmio->lock);
}

static bool virtio_mmio_post_load(void *opaque, uint32_t version, GError **error)
{
    const VirtioMmio *mmio = opaque;

    (void)version;
    if (mmio->interrupt_status & ~(uint32_t)ISR_BITS) {
        return fail(error, VMM_ERROR_WIRE, "interrupt_status: 0x%x has unknown bits",
                    mmio->interrupt_status);
    }
    return true;
}

static const VmStateField virtio_mmio_fields[] = {
    VMSTATE_FIELD_U32(VirtioMmio, device_features_select, 1),
    VMSTATE_FIELD_U32(VirtioMmio, driver_features_select, 1),
    VMSTATE_FIELD_U32(VirtioMmio, queue_select, 1),
    VMSTATE_FIELD_U32(VirtioMmio, interrupt_status, 1),
};

const VmStateDesc virtio_mmio_vmstate = {
    .name = "virtio-mmio",
    .version = 1,
    .min_version = 1,
    .fields = virtio_mmio_fields,
    .num_fields = G_N_ELEMENTS(virtio_mmio_fields),
    .post_load = virtio_mmio_post_load,
};

static const DeviceOps virtio_mmio_ops = {
    .name = "virtio-mmio",
    .reset = virtio_mmio_reset,
    .resume = virtio_mmio_resume,
    .finalize = virtio_mmio_finalize,
    .vmstate = &virtio_mmio_vmstate,
};

Device *virtio_mmio_new(const char *id, VirtioDevice *dev, const IrqLine *irq)
{
    VirtioMmio *mmio = device_alloc(&virtio_mmio_ops, id, sizeof(*mmio));
    const VirtioTransport transport = {.interrupt = virtio_mmio_interrupt, .opaque = mmio};

    mmio->dev = dev;
    mmio->irq = *irq;
    mutex_init(&mmio->lock);
    mutex_init(&mmio->wire);
    if (dev) {
        virtio_attach(dev, &transport);
    }
    return &mmio->base;
}
