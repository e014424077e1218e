/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-mmio, and what split and packed rings share; see virtio.h for the order of calls. */
#include "tests/guest/lib/virtio.h"

#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/ioapic.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/virtio_ring.h"
#include "tests/guest/lib/x86.h"

#define MAGIC    0x74726976 /* "virt" */
#define VERSION  2
#define PATIENCE 30000000000ul

static const VirtioDevice *interrupting_device;
static volatile unsigned interrupt_count;

static uint32_t read_register(const VirtioDevice *device, unsigned offset)
{
    return mmio_read32(device->base + offset);
}

static void write_register(const VirtioDevice *device, unsigned offset, uint32_t value)
{
    mmio_write32(device->base + offset, value);
}

/* SIZE@ADDRESS:IRQ */
static bool parse_slot(const char *text, VirtioDevice *device)
{
    string_parse_number(text, &text);
    if (*text++ != '@') {
        return false;
    }
    device->base = string_parse_number(text, &text);
    if (*text++ != ':') {
        return false;
    }
    device->irq = (unsigned)string_parse_number(text, &text);
    return true;
}

bool virtio_find(VirtioDevice *device, uint32_t id, unsigned n)
{
    const char *text;

    for (unsigned i = 0; (text = boot_word("virtio_mmio.device", i)); i++) {
        if (!parse_slot(text, device) || read_register(device, VIRTIO_MMIO_MAGIC) != MAGIC ||
            read_register(device, VIRTIO_MMIO_VERSION) != VERSION) {
            continue;
        }
        device->id = read_register(device, VIRTIO_MMIO_DEVICE_ID);
        if (device->id == id && n-- == 0) {
            return true;
        }
    }
    return false;
}

uint32_t virtio_status(const VirtioDevice *device)
{
    return read_register(device, VIRTIO_MMIO_STATUS);
}

static void add_status(const VirtioDevice *device, uint32_t bit)
{
    write_register(device, VIRTIO_MMIO_STATUS, virtio_status(device) | bit);
}

void virtio_reset(const VirtioDevice *device)
{
    write_register(device, VIRTIO_MMIO_STATUS, 0);
    while (virtio_status(device)) {
        cpu_relax();
    }
}

bool virtio_start(VirtioDevice *device, uint64_t wanted)
{
    virtio_reset(device);
    add_status(device, VIRTIO_STATUS_ACKNOWLEDGE);
    add_status(device, VIRTIO_STATUS_DRIVER);
    write_register(device, VIRTIO_MMIO_FEATURES_SELECT, 0);
    device->offered = read_register(device, VIRTIO_MMIO_DEVICE_FEATURES);
    write_register(device, VIRTIO_MMIO_FEATURES_SELECT, 1);
    device->offered |= (uint64_t)read_register(device, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
    device->features = device->offered & (wanted | VIRTIO_FEATURE_VERSION_1);
    write_register(device, VIRTIO_MMIO_DRIVER_SELECT, 0);
    write_register(device, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)device->features);
    write_register(device, VIRTIO_MMIO_DRIVER_SELECT, 1);
    write_register(device, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(device->features >> 32));
    add_status(device, VIRTIO_STATUS_FEATURES_OK);
    return (device->features & VIRTIO_FEATURE_VERSION_1) &&
           (virtio_status(device) & VIRTIO_STATUS_FEATURES_OK);
}

void virtio_driver_ok(const VirtioDevice *device)
{
    add_status(device, VIRTIO_STATUS_DRIVER_OK);
}

static void on_interrupt(TrapFrame *frame)
{
    uint32_t status = read_register(interrupting_device, VIRTIO_MMIO_INTERRUPT_STATUS);

    (void)frame;
    write_register(interrupting_device, VIRTIO_MMIO_INTERRUPT_ACK, status);
    interrupt_count++;
    apic_end_of_interrupt();
}

void virtio_count_interrupts(const VirtioDevice *device, unsigned vector)
{
    interrupting_device = device;
    trap_set_handler(vector, on_interrupt);
    ioapic_route(device->irq, vector | IOAPIC_EDGE, apic_id());
}

unsigned virtio_interrupts(void)
{
    return interrupt_count;
}

bool virtio_wait_interrupt(unsigned before)
{
    uint64_t start = tsc_read();

    interrupts_enable();
    while (interrupt_count == before && tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    interrupts_disable();
    return interrupt_count != before;
}

static void write_address(const VirtioDevice *device, unsigned offset, const volatile void *at)
{
    write_register(device, offset, (uint32_t)(uint64_t)at);
    write_register(device, offset + 4, (uint32_t)((uint64_t)at >> 32));
}

bool virtqueue_init(VirtQueue *queue, const VirtioDevice *device, unsigned index)
{
    uint32_t max;

    memset(queue, 0, sizeof(*queue));
    queue->device = device;
    queue->index = index;
    queue->is_indirect = (device->features & VIRTIO_FEATURE_INDIRECT) != 0;
    queue->has_event_index = (device->features & VIRTIO_FEATURE_EVENT_INDEX) != 0;
    queue->is_packed = (device->features & VIRTIO_FEATURE_PACKED) != 0;
    queue->packed.available_wrap = true;
    queue->packed.used_wrap = true;
    write_register(device, VIRTIO_MMIO_QUEUE_SELECT, index);
    max = read_register(device, VIRTIO_MMIO_QUEUE_SIZE_MAX);
    if (!max || read_register(device, VIRTIO_MMIO_QUEUE_READY)) {
        return false;
    }
    queue->size = (uint16_t)(max < VIRTQUEUE_SIZE ? max : VIRTQUEUE_SIZE);
    for (uint16_t i = 0; i < queue->size; i++) {
        queue->descriptors[i].next = (uint16_t)(i + 1);
    }
    queue->free_count = queue->size;
    write_register(device, VIRTIO_MMIO_QUEUE_SIZE, queue->size);
    if (queue->is_packed) {
        write_address(device, VIRTIO_MMIO_QUEUE_DESCRIPTORS, queue->packed.descriptors);
        write_address(device, VIRTIO_MMIO_QUEUE_AVAILABLE, &queue->packed.driver_event);
        write_address(device, VIRTIO_MMIO_QUEUE_USED, &queue->packed.device_event);
    } else {
        write_address(device, VIRTIO_MMIO_QUEUE_DESCRIPTORS, queue->descriptors);
        write_address(device, VIRTIO_MMIO_QUEUE_AVAILABLE, &queue->available);
        write_address(device, VIRTIO_MMIO_QUEUE_USED, &queue->used);
    }
    write_register(device, VIRTIO_MMIO_QUEUE_READY, 1);
    return read_register(device, VIRTIO_MMIO_QUEUE_READY) == 1;
}

uint16_t virtqueue_add(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    return queue->is_packed ? virtio_packed_add(queue, buffers, count)
                            : virtio_split_add(queue, buffers, count);
}

bool virtqueue_get(VirtQueue *queue, uint16_t *head, uint32_t *length)
{
    return queue->is_packed ? virtio_packed_get(queue, head, length)
                            : virtio_split_get(queue, head, length);
}

void virtqueue_kick(VirtQueue *queue)
{
    bool is_wanted = true;

    memory_barrier();
    if (queue->has_event_index && !queue->is_packed) {
        is_wanted = virtio_split_wants_kick(queue);
    }
    if (is_wanted) {
        write_register(queue->device, VIRTIO_MMIO_QUEUE_NOTIFY, queue->index);
    }
}

bool virtqueue_wait(VirtQueue *queue, uint16_t *head, uint32_t *length)
{
    uint64_t start = tsc_read();
    bool is_done;

    interrupts_enable();
    while (!(is_done = virtqueue_get(queue, head, length)) && tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    interrupts_disable();
    return is_done;
}

bool virtqueue_sleep(VirtQueue *queue, const volatile bool *is_overdue, uint16_t *head,
                     uint32_t *length)
{
    bool is_done;

    while (!(is_done = virtqueue_get(queue, head, length)) && !*is_overdue) {
        interrupts_wait();
    }
    return is_done;
}
