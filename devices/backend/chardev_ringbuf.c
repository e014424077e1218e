/* SPDX-License-Identifier: Apache-2.0 */
/* The last bytes of output, kept in memory until somebody reads them. */
#include "devices/backend/chardev_kinds.h"

#include <string.h>

typedef struct ChardevRingbuf {
    Chardev base;

    /* fixed after creation */
    size_t size;

    /* guarded by base.lock */
    uint8_t *bytes;
    size_t start;
    size_t used;
} ChardevRingbuf;

static void ringbuf_append_locked(ChardevRingbuf *s, const uint8_t *data, size_t len)
    REQUIRES(s->base.lock)
{
    size_t at = (s->start + s->used) % s->size;
    size_t first = MIN(len, s->size - at);

    memcpy(s->bytes + at, data, first);
    memcpy(s->bytes, data + first, len - first);
    s->used += len;
    if (s->used > s->size) {
        s->start = (s->start + s->used - s->size) % s->size;
        s->used = s->size;
    }
}

/* The base calls it with its lock held. */
static size_t chardev_ringbuf_write(Chardev *chr, const uint8_t *data, size_t len) NO_TSA
{
    ChardevRingbuf *s = (ChardevRingbuf *)chr;
    size_t skipped = len > s->size ? len - s->size : 0;

    ringbuf_append_locked(s, data + skipped, len - skipped);
    return len;
}

static void chardev_ringbuf_close(Chardev *chr)
{
    g_free(((ChardevRingbuf *)chr)->bytes);
}

static const ChardevOps chardev_ringbuf_ops = {
    .name = "ringbuf",
    .write = chardev_ringbuf_write,
    .close = chardev_ringbuf_close,
};

bool chardev_is_ringbuf(const Chardev *chr)
{
    return chr->ops == &chardev_ringbuf_ops;
}

size_t chardev_ringbuf_read(Chardev *chr, uint8_t *data, size_t len)
{
    ChardevRingbuf *s = (ChardevRingbuf *)chr;
    size_t done = 0;

    mutex_lock(&chr->lock);
    while (done < len && s->used > 0) {
        data[done++] = s->bytes[s->start];
        s->start = (s->start + 1) % s->size;
        s->used--;
    }
    mutex_unlock(&chr->lock);
    return done;
}

Chardev *chardev_ringbuf_new(const char *id, const void *config, Loop *loop, GError **error)
{
    const ChardevRingbufConfig *c = config;
    ChardevRingbuf *s = chardev_alloc(&chardev_ringbuf_ops, id, loop, sizeof(*s));
    g_autoptr(Chardev) chr = &s->base;

    s->size = c->size;
    s->bytes = g_malloc0(s->size);
    if (!chardev_apply_common(chr, &c->common, error)) {
        return NULL;
    }
    chardev_set_open(chr, true);
    return g_steal_pointer(&chr);
}
