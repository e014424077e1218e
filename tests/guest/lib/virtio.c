/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-mmio and split rings; see virtio.h for the order of calls. */
#include "tests/guest/lib/virtio.h"

#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/ioapic.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define MAGIC            0x74726976 /* "virt" */
#define VERSION          2
#define DESCRIPTOR_NEXT  1
#define DESCRIPTOR_WRITE 2
#define DESCRIPTOR_TABLE 4
#define PATIENCE         30000000000ul

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
    interrupt_count += status != 0;
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
    write_address(device, VIRTIO_MMIO_QUEUE_DESCRIPTORS, queue->descriptors);
    write_address(device, VIRTIO_MMIO_QUEUE_AVAILABLE, &queue->available);
    write_address(device, VIRTIO_MMIO_QUEUE_USED, &queue->used);
    write_register(device, VIRTIO_MMIO_QUEUE_READY, 1);
    return read_register(device, VIRTIO_MMIO_QUEUE_READY) == 1;
}

static void fill_descriptor(VirtDescriptor *d, const VirtBuffer *buffer, bool has_next)
{
    d->address = (uint64_t)buffer->data;
    d->length = buffer->length;
    d->flags = (uint16_t)((has_next ? DESCRIPTOR_NEXT : 0) |
                          (buffer->device_writes ? DESCRIPTOR_WRITE : 0));
}

static uint16_t add_direct(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    uint16_t head = queue->free_head;
    uint16_t at = head;

    for (unsigned i = 0; i < count; i++) {
        VirtDescriptor *d = &queue->descriptors[at];

        fill_descriptor(d, &buffers[i], i + 1 < count);
        at = d->next;
    }
    queue->free_head = at;
    queue->free_count = (uint16_t)(queue->free_count - count);
    return head;
}

static uint16_t add_indirect(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    uint16_t head = queue->free_head;
    VirtDescriptor *d = &queue->descriptors[head];
    VirtDescriptor *table = queue->indirect[head];

    for (unsigned i = 0; i < count; i++) {
        fill_descriptor(&table[i], &buffers[i], i + 1 < count);
        table[i].next = (uint16_t)(i + 1);
    }
    d->address = (uint64_t)table;
    d->length = (uint32_t)(count * sizeof(*table));
    d->flags = DESCRIPTOR_TABLE;
    queue->free_head = d->next;
    queue->free_count--;
    return head;
}

uint16_t virtqueue_add(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    uint16_t head = queue->is_indirect ? add_indirect(queue, buffers, count)
                                       : add_direct(queue, buffers, count);

    queue->available.ring[queue->available.index % queue->size] = head;
    memory_barrier();
    queue->available.index++;
    return head;
}

void virtqueue_kick(const VirtQueue *queue)
{
    memory_barrier();
    write_register(queue->device, VIRTIO_MMIO_QUEUE_NOTIFY, queue->index);
}

static void free_chain(VirtQueue *queue, uint16_t head)
{
    uint16_t at = head;

    queue->free_count++;
    while (queue->descriptors[at].flags & DESCRIPTOR_NEXT) {
        at = queue->descriptors[at].next;
        queue->free_count++;
    }
    queue->descriptors[at].next = queue->free_head;
    queue->free_head = head;
}

bool virtqueue_get(VirtQueue *queue, uint16_t *head, uint32_t *length)
{
    const volatile VirtUsedElement *element;

    if (queue->used.index == queue->next_used) {
        return false;
    }
    memory_barrier();
    element = &queue->used.ring[queue->next_used % queue->size];
    *head = (uint16_t)element->id;
    *length = element->length;
    queue->next_used++;
    free_chain(queue, *head);
    return true;
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
