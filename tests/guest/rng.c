/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes arrive, in small and large requests, and look random enough not to be a mistake. */
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/virtio.h"
#include "tests/guest/lib/x86.h"

#define VECTOR_RNG   0x56
#define BYTES        256u
#define ROUNDS       3
#define DISTINCT_MIN 64 /* of 256 possible, in 256 random bytes about 162 */

static VirtioDevice device;
static VirtQueue queue;
static uint8_t bytes[ROUNDS][BYTES];

static unsigned distinct_values(const uint8_t *data, unsigned length)
{
    bool seen[256] = {false};
    unsigned count = 0;

    for (unsigned i = 0; i < length; i++) {
        count += !seen[data[i]];
        seen[data[i]] = true;
    }
    return count;
}

/* A device may give less than was asked for, but not nothing. */
static bool fetch(uint8_t *data, unsigned length)
{
    unsigned have = 0;

    while (have < length) {
        VirtBuffer buffer = {data + have, length - have, true};
        uint16_t head;
        uint32_t got;

        virtqueue_add(&queue, &buffer, 1);
        virtqueue_kick(&queue);
        if (!virtqueue_wait(&queue, &head, &got) || !got || got > length - have) {
            return false;
        }
        have += got;
    }
    return true;
}

static void test_round(unsigned round, const char *when)
{
    if (!report(fetch(bytes[round], BYTES), "%u bytes arrive, %s", BYTES, when)) {
        return;
    }
    report(distinct_values(bytes[round], BYTES) >= DISTINCT_MIN, "%u different values, %s",
           distinct_values(bytes[round], BYTES), when);
    for (unsigned i = 0; i < round; i++) {
        report(memcmp(bytes[i], bytes[round], BYTES), "they are not those of round %u", i);
    }
}

void payload_main(void)
{
    uint8_t one;

    if (!report(virtio_find(&device, VIRTIO_ID_RNG, 0), "there is a random number device")) {
        return;
    }
    report(virtio_start(&device, 0), "features are agreed");
    report(virtqueue_init(&queue, &device, 0), "its queue is there");
    virtio_count_interrupts(&device, VECTOR_RNG);
    virtio_driver_ok(&device);
    test_round(0, "first");
    test_round(1, "second");
    report(fetch(&one, 1), "a single byte arrives");
    migrate_point();
    test_round(2, "after the migrate point");
    report(virtio_wait_interrupt(0), "the device interrupts");
}
