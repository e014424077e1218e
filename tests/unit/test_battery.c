/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device has to stand, without a line of its own here: its state is saved, loaded,
 * compared and damaged in every way, from power-on, after accesses at random and, for virtio
 * devices, with a driver that has set everything up.
 */
#include "tests/support/device_board.h"

#include "migration/vmstate.h"
#include "migration/vmstate_wire.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>

#define HEAP  0x10000
#define POKES 4000

/* How the device came to have the state that is saved. */
typedef enum Past {
    PAST_NONE,
    PAST_POKED,
    PAST_POKED_OTHERWISE,
    PAST_DRIVEN,
    PASTS
} Past;

static void must(bool ok, GError *error, const DeviceBoard *board, const char *what)
{
    ck_assert_msg(ok, "%s: %s: %s", board->dev->ops->name, what, error ? error->message : "");
}

static void drain(DeviceBoard *board)
{
    GError *error = NULL;

    must(device_drain(board->dev, &error), error, board, "drain");
}

static GByteArray *save(DeviceBoard *board)
{
    GByteArray *wire = g_byte_array_new();
    GError *error = NULL;

    must(vmstate_save(board->dev->ops->vmstate, board->dev, wire, &error), error, board, "save");
    return wire;
}

static bool try_load(DeviceBoard *board, const void *data, size_t len)
{
    return vmstate_load(board->dev->ops->vmstate, board->dev, data, len, NULL);
}

static void load(DeviceBoard *board, const GByteArray *wire)
{
    GError *error = NULL;

    must(vmstate_load(board->dev->ops->vmstate, board->dev, wire->data, wire->len, &error), error,
         board, "load");
}

static void check_same(const DeviceBoard *board, const GByteArray *a, const GByteArray *b)
{
    ck_assert_msg(a->len == b->len && memcmp(a->data, b->data, a->len) == 0,
                  "%s: saved again, it is something else", board->dev->ops->name);
}

/* A driver sets up every queue; the board outlives it. */
static void drive(DeviceBoard *board)
{
    g_autoptr(VirtDriver) driver = NULL;
    VirtioTransport transport = board->virtio->transport;

    driver = virt_driver_new(board->virtio, board->memory, HEAP);
    ck_assert(virt_driver_start(driver, VIRTIO_FEATURE_EVENT_IDX, 8));
    device_board_settle(board);
    virtio_attach(board->virtio, &transport);
}

/* One without a table cannot be saved, and has said why. */
static bool is_saved(unsigned kind)
{
    g_autoptr(DeviceBoard) board = device_board_new(kind);

    return board->dev->ops->vmstate != NULL;
}

static DeviceBoard *board_with(unsigned kind, Past past)
{
    DeviceBoard *board = device_board_new(kind);

    if (past == PAST_POKED || past == PAST_POKED_OTHERWISE) {
        device_board_poke(board, (guint32)past, POKES);
        device_board_settle(board);
    } else if (past == PAST_DRIVEN && board->virtio) {
        drive(board);
    }
    drain(board);
    return board;
}

/* ---- whole states --------------------------------------------------------------------------- */

START_TEST(a_device_has_a_sound_table_or_says_why_it_has_none)
{
    g_autoptr(DeviceBoard) board = device_board_new((unsigned)_i);
    const DeviceOps *ops = board->dev->ops;
    GError *error = NULL;

    if (!ops->vmstate) {
        ck_assert_msg(ops->why_unmigratable != NULL, "%s: neither a table nor a reason", ops->name);
        return;
    }
    must(vmstate_check(ops->vmstate, &error), error, board, "table");
}
END_TEST

START_TEST(a_saved_state_loads_into_another_and_is_the_same_there)
{
    for (unsigned past = 0; past < PASTS; past++) {
        g_autoptr(DeviceBoard) board = board_with((unsigned)_i, past);
        g_autoptr(DeviceBoard) other = device_board_new((unsigned)_i);
        g_autoptr(GByteArray) first = save(board);
        g_autoptr(GByteArray) second = NULL;
        g_autoptr(GByteArray) third = NULL;

        load(other, first);
        second = save(other);
        check_same(board, first, second);

        /* and it lives: it runs, is stopped, saved, reset */
        device_resume(other->dev);
        device_board_settle(other);
        device_board_read_around(other);
        drain(other);
        third = save(other);
        device_reset(other->dev);
        load(other, third);
    }
}
END_TEST

START_TEST(a_state_loads_over_another_after_a_reset)
{
    g_autoptr(DeviceBoard) board = board_with((unsigned)_i, PAST_POKED);
    g_autoptr(DeviceBoard) other = board_with((unsigned)_i, PAST_POKED_OTHERWISE);
    g_autoptr(GByteArray) first = save(board);
    g_autoptr(GByteArray) second = NULL;

    device_reset(other->dev);
    load(other, first);
    second = save(other);
    check_same(board, first, second);
}
END_TEST

START_TEST(to_stop_twice_and_to_resume_twice_changes_nothing)
{
    g_autoptr(DeviceBoard) board = board_with((unsigned)_i, PAST_POKED);
    g_autoptr(GByteArray) first = save(board);
    g_autoptr(GByteArray) second = NULL;
    g_autoptr(GByteArray) third = NULL;

    drain(board);
    second = save(board);
    check_same(board, first, second);
    device_resume(board->dev);
    device_resume(board->dev);
    device_board_settle(board);
    drain(board);
    third = save(board);
    check_same(board, first, third);
}
END_TEST

/* ---- damage --------------------------------------------------------------------------------- */

/* Whatever it holds now, it can run, be stopped, saved, and reset. */
static void check_alive(DeviceBoard *board)
{
    g_autoptr(GByteArray) wire = NULL;

    device_resume(board->dev);
    device_board_settle(board);
    device_board_read_around(board);
    drain(board);
    wire = save(board);
    device_reset(board->dev);
    load(board, wire);
    device_reset(board->dev);
}

START_TEST(every_truncation_is_refused_and_hurts_nobody)
{
    for (unsigned past = 0; past < PASTS; past++) {
        g_autoptr(DeviceBoard) board = board_with((unsigned)_i, past);
        g_autoptr(DeviceBoard) other = device_board_new((unsigned)_i);
        g_autoptr(GByteArray) wire = save(board);

        for (guint len = 0; len < wire->len; len++) {
            g_autofree void *exact = g_memdup2(wire->data, len); /* for ASan to see an overrun */

            ck_assert_msg(!try_load(other, exact, len), "%s: %u of %u bytes load",
                          other->dev->ops->name, len, wire->len);
            device_reset(other->dev);
        }
        load(other, wire);
    }
}
END_TEST

START_TEST(every_flipped_bit_is_refused_or_does_no_harm)
{
    for (unsigned past = 0; past < PASTS; past++) {
        g_autoptr(DeviceBoard) board = board_with((unsigned)_i, past);
        g_autoptr(DeviceBoard) other = device_board_new((unsigned)_i);
        g_autoptr(GByteArray) wire = save(board);

        for (guint bit = 0; bit < wire->len * 8; bit++) {
            uint8_t mask = (uint8_t)(1u << bit % 8);

            wire->data[bit / 8] ^= mask;
            if (try_load(other, wire->data, wire->len)) {
                check_alive(other);
            } else {
                device_reset(other->dev);
            }
            wire->data[bit / 8] ^= mask;
        }
        load(other, wire);
    }
}
END_TEST

/* ---- records -------------------------------------------------------------------------------- */

typedef enum Edit {
    EDIT_DROP,
    EDIT_REPEAT,
    EDIT_RENAME,
    EDIT_ADD_UNKNOWN,
    EDITS
} Edit;

static const char *const edit_names[] = {"dropped", "repeated", "renamed", "with a stranger"};

/* Copies an object and does one edit on the n-th record met, counted through all levels. */
typedef struct Editor {
    Edit edit;
    unsigned nth;
    unsigned seen;
    bool done;
    char name[64]; /* of the record that was edited */
} Editor;

static void append_u32(GByteArray *out, uint32_t value)
{
    uint8_t wire[4];

    store_le32(wire, value);
    g_byte_array_append(out, wire, sizeof(wire));
}

static void append_record(GByteArray *out, uint8_t kind, const char *name, uint8_t name_len,
                          const GByteArray *payload)
{
    g_byte_array_append(out, &kind, 1);
    g_byte_array_append(out, &name_len, 1);
    g_byte_array_append(out, (const guint8 *)name, name_len);
    append_u32(out, payload->len);
    g_byte_array_append(out, payload->data, payload->len);
}

static void copy_object(Editor *editor, VmStateCursor object, GByteArray *out);

static void copy_payload(Editor *editor, const VmStateRecord *record, GByteArray *out)
{
    VmStateCursor payload = record->payload;
    VmStateCursor element;

    if (record->kind == VMSTATE_KIND_STRUCT || record->kind == VMSTATE_KIND_SUBSECTION) {
        copy_object(editor, payload, out);
    } else if (record->kind == (VMSTATE_KIND_STRUCT | VMSTATE_KIND_ARRAY)) {
        while (payload.left > 0 && vmstate_take_sized(&payload, &element)) {
            g_autoptr(GByteArray) copy = g_byte_array_new();

            copy_object(editor, element, copy);
            append_u32(out, copy->len);
            g_byte_array_append(out, copy->data, copy->len);
        }
    } else {
        g_byte_array_append(out, payload.pos, (guint)payload.left);
    }
}

static void edit_record(Editor *editor, const VmStateRecord *record, const GByteArray *payload,
                        GByteArray *out)
{
    g_autofree char *name = g_strndup(record->name, record->name_len);

    g_strlcpy(editor->name, name, sizeof(editor->name));
    editor->done = true;
    if (editor->edit == EDIT_RENAME) {
        name[0] = '!';
    }
    if (editor->edit != EDIT_DROP) {
        append_record(out, record->kind, name, record->name_len, payload);
    }
    if (editor->edit == EDIT_REPEAT) {
        append_record(out, record->kind, name, record->name_len, payload);
    } else if (editor->edit == EDIT_ADD_UNKNOWN) {
        append_record(out, VMSTATE_KIND_U8, "stranger", 8, payload);
    }
}

static void copy_object(Editor *editor, VmStateCursor object, GByteArray *out)
{
    VmStateRecord record;
    uint32_t version = 0;

    ck_assert(vmstate_take_u32(&object, &version));
    append_u32(out, version);
    while (object.left > 0 && vmstate_take_record(&object, &record, NULL)) {
        bool mine = editor->seen++ == editor->nth;
        g_autoptr(GByteArray) payload = g_byte_array_new();

        copy_payload(editor, &record, payload);
        /* a subsection may be missing: that is what it is for */
        if (mine && (editor->edit != EDIT_DROP || record.kind != VMSTATE_KIND_SUBSECTION)) {
            edit_record(editor, &record, payload, out);
        } else {
            append_record(out, record.kind, record.name, record.name_len, payload);
        }
    }
}

static void check_edits(DeviceBoard *board, const GByteArray *wire, Edit edit)
{
    Editor editor = {.edit = edit};

    do {
        const VmStateCursor object = {.pos = wire->data, .left = wire->len};
        g_autoptr(GByteArray) edited = g_byte_array_new();

        editor.seen = 0;
        editor.done = false;
        copy_object(&editor, object, edited);
        if (editor.done) {
            ck_assert_msg(!try_load(board, edited->data, edited->len), "%s: loads with '%s' %s",
                          board->dev->ops->name, editor.name, edit_names[edit]);
            device_reset(board->dev);
        } else {
            check_same(board, wire, edited);
        }
    } while (editor.nth++ < editor.seen);
}

START_TEST(a_field_that_is_unknown_missing_or_there_twice_is_refused)
{
    g_autoptr(DeviceBoard) board = board_with((unsigned)_i, PAST_DRIVEN);
    g_autoptr(DeviceBoard) other = device_board_new((unsigned)_i);
    g_autoptr(GByteArray) wire = save(board);

    for (unsigned edit = 0; edit < EDITS; edit++) {
        check_edits(other, wire, edit);
    }
    load(other, wire);
}
END_TEST

static void add_tests(TCase *tc, unsigned kind)
{
    int from = (int)kind;
    int to = from + 1;

    tcase_add_loop_test(tc, a_device_has_a_sound_table_or_says_why_it_has_none, from, to);
    if (!is_saved(kind)) {
        return;
    }
    tcase_add_loop_test(tc, a_saved_state_loads_into_another_and_is_the_same_there, from, to);
    tcase_add_loop_test(tc, a_state_loads_over_another_after_a_reset, from, to);
    tcase_add_loop_test(tc, to_stop_twice_and_to_resume_twice_changes_nothing, from, to);
    tcase_add_loop_test(tc, every_truncation_is_refused_and_hurts_nobody, from, to);
    tcase_add_loop_test(tc, every_flipped_bit_is_refused_or_does_no_harm, from, to);
    tcase_add_loop_test(tc, a_field_that_is_unknown_missing_or_there_twice_is_refused, from, to);
}

int main(void)
{
    TCase *tc = tcase_create("battery");
    int silence = open("/dev/null", O_WRONLY | O_CLOEXEC); /* so much goes wrong on purpose */

    log_init(silence, LOG_LEVEL_ERROR);
    tcase_set_timeout(tc, 120);
    for (unsigned kind = 0; kind < device_board_num_kinds(); kind++) {
        add_tests(tc, kind);
    }
    return suite_run("battery", tc);
}
