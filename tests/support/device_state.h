/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_DEVICE_STATE_H
#define TESTS_SUPPORT_DEVICE_STATE_H

/* What every device's test does with its state: save, load into another, compare, break. */

#include "tests/unit/suite.h"

#include "devices/device.h"
#include "migration/vmstate.h"

static inline GByteArray *state_save(Device *dev)
{
    GByteArray *wire = g_byte_array_new();
    GError *error = NULL;

    ck_assert_msg(vmstate_save(dev->ops->vmstate, dev, wire, &error), "%s",
                  error ? error->message : "");
    return wire;
}

static inline void state_load(Device *dev, const GByteArray *wire)
{
    GError *error = NULL;

    ck_assert_msg(vmstate_load(dev->ops->vmstate, dev, wire->data, wire->len, &error), "%s",
                  error ? error->message : "");
}

/* other, which was built like dev, then holds dev's state. */
static inline void state_check_round_trip(Device *dev, Device *other)
{
    g_autoptr(GByteArray) first = state_save(dev);

    state_load(other, first);

    g_autoptr(GByteArray) second = state_save(other);

    ck_assert_uint_eq(first->len, second->len);
    ck_assert_mem_eq(first->data, second->data, first->len);
}

/*
 * Every truncation is refused, every flipped byte is refused or leaves a device that can be
 * saved again; after each failure the device still resets.  Leaves other reset.
 */
static inline void state_check_damage(Device *dev, Device *other)
{
    g_autoptr(GByteArray) wire = state_save(dev);

    for (guint len = 0; len < wire->len; len++) {
        ck_assert(!vmstate_load(other->ops->vmstate, other, wire->data, len, NULL));
        device_reset(other);
    }
    for (guint i = 0; i < wire->len; i++) {
        g_autoptr(GByteArray) again = NULL;

        wire->data[i] ^= 0xff;
        if (vmstate_load(other->ops->vmstate, other, wire->data, wire->len, NULL)) {
            again = state_save(other);
        }
        wire->data[i] ^= 0xff;
        device_reset(other);
    }
}

#endif
