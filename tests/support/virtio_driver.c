/* SPDX-License-Identifier: Apache-2.0 */
/* Written from the specification, not from our device side, so that both do not share a mistake. */
#include "tests/support/virtio_driver.h"

#include "util/bytes.h"

#include <string.h>

#define DESC_BYTES    16
#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4
#define DESC_AVAIL    (1 << 7)
#define DESC_USED     (1 << 15)

void *virt_driver_ptr(const VirtDriver *driver, uint64_t address, uint64_t len)
{
    void *hva = guest_mem_ptr(driver->mem, GPA(address), len, GUEST_WRITE, NULL);

    g_assert(hva);
    return hva;
}

static uint16_t get16(const VirtDriver *driver, uint64_t address)
{
    const uint16_t *p = virt_driver_ptr(driver, address, 2);

    return GUINT16_FROM_LE(__atomic_load_n(p, __ATOMIC_SEQ_CST));
}

static void put16(VirtDriver *driver, uint64_t address, uint16_t value)
{
    uint16_t *p = virt_driver_ptr(driver, address, 2);

    __atomic_store_n(p, GUINT16_TO_LE(value), __ATOMIC_SEQ_CST);
}

static uint32_t get32(const VirtDriver *driver, uint64_t address)
{
    return load_le32(virt_driver_ptr(driver, address, 4));
}

void virt_driver_put_desc(VirtDriver *driver, uint64_t at, uint64_t address, uint32_t len,
                          const uint16_t tail[2])
{
    uint8_t *p = virt_driver_ptr(driver, at, DESC_BYTES);

    store_le64(p, address);
    store_le32(p + 8, len);
    store_le16(p + 12, tail[0]);
    store_le16(p + 14, tail[1]);
}

static void driver_interrupt(void *opaque, VirtioInterrupt kind, unsigned queue)
{
    VirtDriver *driver = opaque;
    unsigned *count =
        kind == VIRTIO_INTERRUPT_QUEUE ? &driver->queue_interrupts : &driver->config_interrupts;

    (void)queue;
    __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
}

unsigned virt_driver_interrupts(const VirtDriver *driver)
{
    return __atomic_load_n(&driver->queue_interrupts, __ATOMIC_SEQ_CST);
}

unsigned virt_driver_config_interrupts(const VirtDriver *driver)
{
    return __atomic_load_n(&driver->config_interrupts, __ATOMIC_SEQ_CST);
}

VirtDriver *virt_driver_new(VirtioDevice *dev, GuestMemory *mem, uint64_t heap)
{
    VirtDriver *driver = g_new0(VirtDriver, 1);

    driver->mem = mem;
    driver->heap = heap;
    driver->num_queues = dev->num_queues;
    driver->queue = g_new0(VirtDriverQueue, driver->num_queues);
    virt_driver_adopt(driver, dev);
    return driver;
}

void virt_driver_adopt(VirtDriver *driver, VirtioDevice *dev)
{
    const VirtioTransport transport = {.interrupt = driver_interrupt, .opaque = driver};

    driver->dev = dev;
    virtio_attach(dev, &transport);
}

void virt_driver_free(VirtDriver *driver)
{
    if (!driver) {
        return;
    }
    for (unsigned i = 0; i < driver->num_queues; i++) {
        if (driver->queue[i].free_ids) {
            g_array_unref(driver->queue[i].free_ids);
        }
        g_free(driver->queue[i].slots);
    }
    g_free(driver->queue);
    g_free(driver);
}

uint64_t virt_driver_alloc(VirtDriver *driver, uint64_t len, uint64_t align)
{
    uint64_t at = align_up(driver->heap, align);

    driver->heap = at + len;
    memset(virt_driver_ptr(driver, at, len), 0, len);
    return at;
}

bool virt_driver_negotiate(VirtDriver *driver, uint64_t features)
{
    VirtioDevice *dev = driver->dev;
    const uint8_t begin = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

    features |= VIRTIO_FEATURE_VERSION_1;
    virtio_set_status(dev, 0);
    virtio_set_status(dev, VIRTIO_STATUS_ACKNOWLEDGE);
    virtio_set_status(dev, begin);
    virtio_set_driver_features(dev, 0, (uint32_t)features);
    virtio_set_driver_features(dev, 1, (uint32_t)(features >> 32));
    virtio_set_status(dev, begin | VIRTIO_STATUS_FEATURES_OK);
    for (unsigned i = 0; i < dev->num_queues; i++) {
        driver->queue[i].packed = features & VIRTIO_FEATURE_RING_PACKED;
        driver->queue[i].event_idx = features & VIRTIO_FEATURE_EVENT_IDX;
    }
    return virtio_get_status(dev) & VIRTIO_STATUS_FEATURES_OK;
}

static void set_address(VirtDriver *driver, unsigned index, VirtqArea area, uint64_t address)
{
    virtio_set_queue_address(driver->dev, index, area, 0, (uint32_t)address);
    virtio_set_queue_address(driver->dev, index, area, 1, (uint32_t)(address >> 32));
}

void virt_driver_set_up_queue(VirtDriver *driver, unsigned index, uint16_t size)
{
    VirtDriverQueue *q = &driver->queue[index];

    q->size = size;
    q->desc = virt_driver_alloc(driver, (uint64_t)size * DESC_BYTES, 16);
    q->driver = virt_driver_alloc(driver, q->packed ? 4 : 6 + 2 * (uint64_t)size, 4);
    q->device = virt_driver_alloc(driver, q->packed ? 4 : 6 + 8 * (uint64_t)size, 4);
    q->next_avail = 0;
    q->next_used = 0;
    q->kick_from = 0;
    q->avail_wrap = true;
    q->used_wrap = true;
    q->free_slots = size;
    if (q->free_ids) {
        g_array_unref(q->free_ids);
    }
    g_free(q->slots);
    q->slots = g_new0(uint16_t, size);
    q->free_ids = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    for (unsigned i = size; i > 0; i--) {
        uint16_t id = (uint16_t)(i - 1);

        g_array_append_val(q->free_ids, id);
    }
    virtio_set_queue_size(driver->dev, index, size);
    set_address(driver, index, VIRTQ_AREA_DESC, q->desc);
    set_address(driver, index, VIRTQ_AREA_DRIVER, q->driver);
    set_address(driver, index, VIRTQ_AREA_DEVICE, q->device);
    virtio_set_queue_ready(driver->dev, index, true);
}

void virt_driver_go(VirtDriver *driver)
{
    virtio_set_status(driver->dev, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                                       VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
}

bool virt_driver_start(VirtDriver *driver, uint64_t features, uint16_t size)
{
    if (!virt_driver_negotiate(driver, features)) {
        return false;
    }
    for (unsigned i = 0; i < driver->dev->num_queues; i++) {
        virt_driver_set_up_queue(driver, i, size);
    }
    virt_driver_go(driver);
    return true;
}

static uint16_t take_id(VirtDriverQueue *q)
{
    uint16_t id = g_array_index(q->free_ids, uint16_t, q->free_ids->len - 1);

    g_array_set_size(q->free_ids, q->free_ids->len - 1);
    return id;
}

static uint16_t flags_of(const VirtBuffer *buffer, bool is_last)
{
    return (uint16_t)((buffer->writable ? DESC_WRITE : 0) | (is_last ? 0 : DESC_NEXT));
}

static uint64_t indirect_table(VirtDriver *driver, bool packed, const VirtBuffer *buffers,
                               unsigned count)
{
    uint64_t table = virt_driver_alloc(driver, (uint64_t)count * DESC_BYTES, 16);

    for (unsigned i = 0; i < count; i++) {
        uint16_t flags = flags_of(&buffers[i], packed || i + 1 == count);
        uint16_t split_tail[2] = {flags, (uint16_t)(i + 1)};
        uint16_t packed_tail[2] = {0, flags};

        virt_driver_put_desc(driver, table + i * DESC_BYTES, buffers[i].address, buffers[i].len,
                             packed ? packed_tail : split_tail);
    }
    return table;
}

/* A chain in the ring takes one id per descriptor; linked through next. */
static int split_add(VirtDriver *driver, VirtDriverQueue *q, const VirtBuffer *buffers,
                     unsigned count)
{
    uint16_t head = 0;
    uint16_t next = 0;

    for (unsigned i = count; i > 0; i--) {
        uint16_t id = take_id(q);
        uint16_t tail[2] = {flags_of(&buffers[i - 1], i == count), next};

        virt_driver_put_desc(driver, q->desc + (uint64_t)id * DESC_BYTES, buffers[i - 1].address,
                             buffers[i - 1].len, tail);
        next = id;
        head = id;
    }
    return head;
}

static void split_publish(VirtDriver *driver, VirtDriverQueue *q, uint16_t head)
{
    put16(driver, q->driver + 4 + 2 * (q->next_avail % q->size), head);
    q->next_avail++;
    put16(driver, q->driver + 2, q->next_avail);
}

static void packed_advance(const VirtDriverQueue *q, uint16_t *place, bool *wrap, uint16_t slots)
{
    *place = (uint16_t)(*place + slots);
    if (*place >= q->size) {
        *place = (uint16_t)(*place - q->size);
        *wrap = !*wrap;
    }
}

/* The first descriptor's flags are written last: they hand the whole chain over. */
static void packed_add(VirtDriver *driver, VirtDriverQueue *q, const VirtBuffer *buffers,
                       unsigned count, const uint16_t id_and_extra[2])
{
    uint64_t first = q->desc + (uint64_t)q->next_avail * DESC_BYTES;
    uint16_t first_flags = 0;

    for (unsigned i = 0; i < count; i++) {
        uint64_t at = q->desc + (uint64_t)q->next_avail * DESC_BYTES;
        uint16_t flags = flags_of(&buffers[i], i + 1 == count) | id_and_extra[1];

        flags |= (uint16_t)(q->avail_wrap ? DESC_AVAIL : DESC_USED);
        if (i == 0) {
            first_flags = flags;
            store_le64(virt_driver_ptr(driver, at, 8), buffers[i].address);
            store_le32(virt_driver_ptr(driver, at + 8, 4), buffers[i].len);
            store_le16(virt_driver_ptr(driver, at + 12, 2), id_and_extra[0]);
        } else {
            uint16_t tail[2] = {id_and_extra[0], flags};

            virt_driver_put_desc(driver, at, buffers[i].address, buffers[i].len, tail);
        }
        packed_advance(q, &q->next_avail, &q->avail_wrap, 1);
    }
    put16(driver, first + 14, first_flags);
}

int virt_driver_add(VirtDriver *driver, unsigned index, const VirtBuffer *buffers, unsigned count)
{
    VirtDriverQueue *q = &driver->queue[index];
    unsigned slots = driver->indirect ? 1 : count;
    uint16_t extra = driver->indirect ? DESC_INDIRECT : 0;
    VirtBuffer table = {0};

    if (q->free_slots < slots) {
        return -1;
    }
    if (driver->indirect) {
        table.address = indirect_table(driver, q->packed, buffers, count);
        table.len = count * DESC_BYTES;
        buffers = &table;
        count = 1;
    }

    int id;

    if (q->packed) {
        id = take_id(q);
        packed_add(driver, q, buffers, count, (uint16_t[2]){(uint16_t)id, extra});
    } else {
        id = split_add(driver, q, buffers, count);
        if (extra != 0) {
            put16(driver, q->desc + (uint64_t)id * DESC_BYTES + 12, extra);
        }
        split_publish(driver, q, (uint16_t)id);
    }
    q->slots[id] = (uint16_t)slots;
    q->free_slots = (uint16_t)(q->free_slots - slots);
    return id;
}

static bool split_wants_kick(VirtDriver *driver, VirtDriverQueue *q)
{
    uint16_t from = q->kick_from;

    if (!q->event_idx) {
        return !(get16(driver, q->device) & 1);
    }
    q->kick_from = q->next_avail;

    uint16_t event = get16(driver, q->device + 4 + 8 * (uint64_t)q->size);

    return (uint16_t)(q->next_avail - event - 1) < (uint16_t)(q->next_avail - from);
}

bool virt_driver_kick(VirtDriver *driver, unsigned index)
{
    VirtDriverQueue *q = &driver->queue[index];
    bool wanted;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (q->packed) {
        /* With a place to be told at, telling more often than asked is allowed. */
        wanted = get16(driver, q->device + 2) != 1;
    } else {
        wanted = split_wants_kick(driver, q);
    }
    if (wanted) {
        virtio_kick(driver->dev, index);
    }
    return wanted;
}

static bool packed_take(VirtDriver *driver, VirtDriverQueue *q, uint32_t *ret_id, uint32_t *ret_len)
{
    uint64_t at = q->desc + (uint64_t)q->next_used * DESC_BYTES;
    uint16_t flags = get16(driver, at + 14);
    bool avail = flags & DESC_AVAIL;
    bool used = flags & DESC_USED;

    if (avail != used || used != q->used_wrap) {
        return false;
    }
    *ret_id = get16(driver, at + 12);
    *ret_len = get32(driver, at + 8);
    g_assert(*ret_id < q->size);
    packed_advance(q, &q->next_used, &q->used_wrap, q->slots[*ret_id]);

    uint16_t id = (uint16_t)*ret_id;

    g_array_append_val(q->free_ids, id);
    return true;
}

static void split_release(VirtDriver *driver, VirtDriverQueue *q, uint16_t id)
{
    for (;;) {
        uint64_t at = q->desc + (uint64_t)id * DESC_BYTES;
        uint16_t flags = get16(driver, at + 12);

        g_array_append_val(q->free_ids, id);
        if (!(flags & DESC_NEXT)) {
            return;
        }
        id = get16(driver, at + 14);
    }
}

static bool split_take(VirtDriver *driver, VirtDriverQueue *q, uint32_t *ret_id, uint32_t *ret_len)
{
    if (get16(driver, q->device + 2) == q->next_used) {
        return false;
    }

    uint64_t slot = q->device + 4 + 8 * (uint64_t)(q->next_used % q->size);

    *ret_id = get32(driver, slot);
    *ret_len = get32(driver, slot + 4);
    g_assert(*ret_id < q->size);
    q->next_used++;
    split_release(driver, q, (uint16_t)*ret_id);
    return true;
}

bool virt_driver_take(VirtDriver *driver, unsigned index, uint32_t *ret_id, uint32_t *ret_len)
{
    VirtDriverQueue *q = &driver->queue[index];

    if (!(q->packed ? packed_take(driver, q, ret_id, ret_len)
                    : split_take(driver, q, ret_id, ret_len))) {
        return false;
    }
    q->free_slots = (uint16_t)(q->free_slots + q->slots[*ret_id]);
    return true;
}

void virt_driver_want_interrupts(VirtDriver *driver, unsigned index, bool on)
{
    VirtDriverQueue *q = &driver->queue[index];

    if (q->packed) {
        if (q->event_idx && on) {
            put16(driver, q->driver, (uint16_t)(q->next_used | (q->used_wrap ? 0x8000 : 0)));
        }
        put16(driver, q->driver + 2, on ? (q->event_idx ? 2 : 0) : 1);
    } else if (q->event_idx) {
        uint16_t event = on ? q->next_used : (uint16_t)(q->next_used + 0x8000);

        put16(driver, q->driver + 4 + 2 * (uint64_t)q->size, event);
    } else {
        put16(driver, q->driver, on ? 0 : 1);
    }
}
