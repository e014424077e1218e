/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/template.h"

#include "hypervisor/ram_backend.h"
#include "migration/format.h"
#include "migration/template_dump.h"
#include "tests/support/template_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/fd.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_BYTES (4 * MIB)
#define RAM_PAGES (RAM_BYTES / PAGE_BYTES)

static const RamBackendConfig plain_ram = {.id = "ram", .kind = RAM_ANONYMOUS, .size = RAM_BYTES};

/* A template of pages 10..19 filled with seed; the config says the same. */
static void save_sample(const char *dir, uint32_t seed)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    g_autofree char *text = g_strdup_printf("%u", seed);
    g_autoptr(GError) error = NULL;

    sample_fill(memory, 10, 10, seed);
    ck_assert_msg(sample_save_all(dir, memory, text, &error), "%s", error ? error->message : "");
}

static void check_sample(const char *dir, uint32_t seed)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = sample_config(dir, &error);
    g_autofree char *expected = g_strdup_printf("%u", seed);
    g_autoptr(GuestMemory) memory = sample_restore(dir, &plain_ram, &error);

    ck_assert_msg(text && memory, "%s", error ? error->message : "");
    ck_assert_str_eq(text, expected);
    ck_assert(sample_has(memory, 10, 10, seed));
}

static void check_refused(const char *dir, const char *fragment)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TemplateReader) reader = template_reader_open(dir, &error);

    ck_assert_ptr_null(reader);
    ck_assert_msg(strstr(error->message, fragment) != NULL, "'%s' does not say '%s'",
                  error->message, fragment);
    ck_assert_msg(strstr(error->message, dir) != NULL, "'%s' names no file", error->message);
}

static void check_listing(const char *dir, const char *expected)
{
    g_autofree char *names = temp_dir_list(dir);

    ck_assert_str_eq(names, expected);
}

/* --- there and back --- */

START_TEST(what_was_saved_is_read_back)
{
    auto_dir dir = temp_dir_new();
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    TemplateSaveParams params = sample_params(dir.path);
    g_autoptr(TemplateSave) save = sample_save(&params, memory, "{}");
    g_autoptr(GError) error = NULL;

    ck_assert(template_save_run(save, &error));

    g_autoptr(TemplateReader) reader = template_reader_open(dir.path, &error);
    size_t len;

    ck_assert_ptr_nonnull(reader);
    ck_assert_uint_eq(template_reader_num_sections(reader), 3);
    ck_assert_int_eq(template_reader_section_at(reader, 0)->kind, TEMPLATE_SECTION_CONFIG);
    ck_assert_str_eq(template_reader_section_at(reader, 1)->name, "blk0");
    ck_assert_int_eq(template_reader_section_at(reader, 2)->kind, TEMPLATE_SECTION_MEMORY);
    ck_assert_mem_eq(template_reader_section(reader, TEMPLATE_SECTION_CONFIG, "", &len), "{}", 2);
    ck_assert_uint_eq(len, 2);
    ck_assert_ptr_null(template_reader_section(reader, TEMPLATE_SECTION_DEVICE, "blk1", &len));
    check_listing(dir.path, "memory state");
}
END_TEST

START_TEST(memory_is_mapped_and_the_template_stays_as_it_is)
{
    auto_dir dir = temp_dir_new();
    g_autoptr(GError) error = NULL;

    save_sample(dir.path, 1);

    g_autoptr(GuestMemory) first = sample_restore(dir.path, &plain_ram, &error);

    ck_assert_ptr_nonnull(first);
    ck_assert(sample_has(first, 10, 10, 1));
    ck_assert(page_is_zero(guest_mem_ptr(first, GPA(0), PAGE_BYTES, GUEST_READ, NULL), PAGE_BYTES));
    sample_fill(first, 0, RAM_PAGES, 2);
    check_sample(dir.path, 1);
}
END_TEST

START_TEST(a_missing_folder_is_made_with_its_parents)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *deep = temp_dir_file(&dir, "a/b");

    save_sample(deep, 3);
    check_sample(deep, 3);
}
END_TEST

START_TEST(a_save_replaces_the_template_that_the_vm_runs_from)
{
    auto_dir dir = temp_dir_new();
    g_autoptr(GError) error = NULL;

    save_sample(dir.path, 1);

    g_autoptr(GuestMemory) memory = sample_restore(dir.path, &plain_ram, &error);

    for (uint32_t generation = 2; generation < 6; generation++) {
        g_autofree char *text = g_strdup_printf("%u", generation);

        sample_fill(memory, 12, 2, generation);
        ck_assert(sample_save_all(dir.path, memory, text, &error));
        ck_assert(sample_has(memory, 10, 2, 1));

        g_autoptr(GuestMemory) next = sample_restore(dir.path, &plain_ram, &error);

        ck_assert(sample_has(next, 10, 2, 1));
        ck_assert(sample_has(next, 12, 2, generation));
        ck_assert(sample_has(next, 14, 6, 1));
        g_clear_pointer(&memory, guest_mem_free);
        memory = g_steal_pointer(&next);
    }
    check_listing(dir.path, "memory state");
}
END_TEST

START_TEST(vm_without_ram_has_a_template_too)
{
    auto_dir dir = temp_dir_new();
    g_autoptr(GuestMemory) memory = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;

    ck_assert(sample_save_all(dir.path, memory, "x", &error));

    g_autofree char *text = sample_config(dir.path, &error);

    ck_assert_str_eq(text, "x");
}
END_TEST

START_TEST(an_image_is_found_by_the_id_and_size_of_its_backend)
{
    auto_dir dir = temp_dir_new();
    g_autoptr(GError) error = NULL;
    RamImage image;

    save_sample(dir.path, 1);

    g_autoptr(TemplateReader) reader = template_reader_open(dir.path, &error);

    ck_assert(!template_reader_image(reader, "other", RAM_BYTES, &image, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "has no memory 'other'"));
    g_clear_error(&error);
    ck_assert(!template_reader_image(reader, "ram", 2 * RAM_BYTES, &image, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "has 4194304 bytes, expected 8388608"));
    g_clear_error(&error);
    ck_assert(template_reader_image(reader, "ram", RAM_BYTES, &image, &error));
    ck_assert(is_aligned(image.offset, 2 * MIB));
}
END_TEST

/* --- damage --- */

static uint8_t *read_file(const char *path, size_t *ret_len)
{
    char *data = NULL;

    ck_assert(g_file_get_contents(path, &data, ret_len, NULL));
    return (uint8_t *)data;
}

static void write_file(const char *path, const uint8_t *data, size_t len)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    ck_assert(fd >= 0 && fd_write_all(fd, path, data, len, NULL));
}

START_TEST(every_flipped_byte_of_state_is_noticed)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "state");
    size_t len;

    save_sample(dir.path, 1);

    g_autofree uint8_t *data = read_file(path, &len);

    for (size_t i = 0; i < len; i++) {
        data[i] ^= (uint8_t)(1 << i % 8);
        write_file(path, data, len);
        check_refused(dir.path, "state");
        data[i] ^= (uint8_t)(1 << i % 8);
    }
    write_file(path, data, len);
    check_sample(dir.path, 1);
}
END_TEST

START_TEST(every_truncation_of_state_is_noticed)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "state");
    size_t len;

    save_sample(dir.path, 1);

    g_autofree uint8_t *data = read_file(path, &len);

    for (size_t i = 0; i < len; i++) {
        write_file(path, data, i);
        check_refused(dir.path, i < FORMAT_HEADER_BYTES ? "not the state" : "cut short");
    }
}
END_TEST

START_TEST(bytes_behind_the_state_are_noticed)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "state");
    size_t len;

    save_sample(dir.path, 1);

    g_autofree uint8_t *data = read_file(path, &len);
    g_autofree uint8_t *more = g_malloc0(len + 1);

    memcpy(more, data, len);
    write_file(path, more, len + 1);
    check_refused(dir.path, "too long");
}
END_TEST

START_TEST(every_shorter_or_longer_memory_is_noticed)
{
    static const off_t sizes[] = {0,
                                  1,
                                  4096,
                                  RAM_BYTES - 4096,
                                  RAM_BYTES,
                                  RAM_BYTES + 1,
                                  RAM_BYTES + 4095,
                                  RAM_BYTES + 4097,
                                  2 * RAM_BYTES};
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "memory");

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        save_sample(dir.path, 1);
        ck_assert_int_eq(truncate(path, sizes[i]), 0);
        check_refused(dir.path, sizes[i] < (off_t)(RAM_BYTES + 4096) ? "cut short" : "too long");
    }
}
END_TEST

START_TEST(every_flipped_byte_of_the_trailer_is_noticed)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "memory");

    save_sample(dir.path, 1);

    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);

    for (uint64_t i = RAM_BYTES; i < RAM_BYTES + FORMAT_HEADER_BYTES; i++) {
        uint8_t byte;
        uint8_t flipped;

        ck_assert(fd_pread_all(fd, path, &byte, 1, i, NULL));
        flipped = byte ^ 0x10;
        ck_assert(fd_pwrite_all(fd, path, &flipped, 1, i, NULL));
        check_refused(dir.path, "memory");
        ck_assert(fd_pwrite_all(fd, path, &byte, 1, i, NULL));
    }
    check_sample(dir.path, 1);
}
END_TEST

START_TEST(files_of_two_templates_do_not_go_together)
{
    auto_dir one = temp_dir_new();
    auto_dir two = temp_dir_new();
    g_autofree char *from = temp_dir_file(&one, "memory");
    g_autofree char *to = temp_dir_file(&two, "memory");

    save_sample(one.path, 1);
    save_sample(two.path, 2);
    ck_assert_int_eq(g_rename(from, to), 0);
    check_refused(two.path, "belongs to another template");
    check_refused(one.path, "cannot open");
}
END_TEST

/* The label's checksum is right again, so that the change itself is what is refused. */
static void edit_label(const char *path, size_t at, const void *data, size_t len)
{
    uint8_t label[FORMAT_HEADER_BYTES];
    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);

    ck_assert(fd_pread_all(fd, path, label, sizeof(label), 0, NULL));
    memcpy(label + at, data, len);
    store_le32(label + 60, crc32c(0, label, 60));
    ck_assert(fd_pwrite_all(fd, path, label, sizeof(label), 0, NULL));
}

START_TEST(templates_of_others_are_named_as_such)
{
    static const struct {
        size_t at;
        const char *bytes;
        const char *message;
    } edits[] = {
        {8, "riscv64", "it is a template of architecture 'riscv64', and this machine is"},
        {8, "x\ny", "architecture 'x\\ny"},
        {16, "\x02", "it has format version 2, and this program knows version 1 only"},
        {0, "STRATOV", "it is not the state of a template"},
    };
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "state");

    for (size_t i = 0; i < G_N_ELEMENTS(edits); i++) {
        save_sample(dir.path, 1);
        edit_label(path, edits[i].at, edits[i].bytes, strlen(edits[i].bytes));
        check_refused(dir.path, edits[i].message);
    }
}
END_TEST

START_TEST(what_is_no_template_is_refused_without_waiting)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *state = temp_dir_file(&dir, "state");
    g_autofree char *memory = temp_dir_file(&dir, "memory");

    check_refused(memory, "cannot open the folder");
    check_refused(dir.path, "cannot open");
    ck_assert_int_eq(g_mkdir(state, 0700), 0);
    check_refused(dir.path, "is not a regular file");
    ck_assert_int_eq(g_rmdir(state), 0);
    ck_assert_int_eq(mkfifo(state, 0600), 0);
    check_refused(dir.path, "is not a regular file");
    ck_assert_int_eq(g_unlink(state), 0);
    ck_assert_int_eq(symlink("state", state), 0);
    check_refused(dir.path, "symbolic links");
    ck_assert_int_eq(g_unlink(state), 0);
    write_file(state, (const uint8_t *)"hello", 5);
    check_refused(dir.path, "it is not the state of a template: it has 5 bytes");
    check_refused(state, "Not a directory");
    ck_assert_int_eq(truncate(state, INT64_C(1) << 40), 0);
    check_refused(dir.path, "it has 1099511627776 bytes, at most");
    save_sample(dir.path, 1);
    ck_assert_int_eq(g_unlink(memory), 0);
    ck_assert_int_eq(mkfifo(memory, 0600), 0);
    check_refused(dir.path, "is not a regular file");
}
END_TEST

START_TEST(checksums_find_a_flipped_byte_of_memory)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "memory");
    g_autoptr(GError) error = NULL;
    uint8_t byte = 1;

    save_sample(dir.path, 1);

    g_autoptr(TemplateReader) reader = template_reader_open(dir.path, &error);
    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);

    ck_assert(template_verify_memory(reader, &error));
    ck_assert(fd_pwrite_all(fd, path, &byte, 1, 3 * MIB + 5, NULL)); /* in a hole */
    ck_assert(!template_verify_memory(reader, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "memory ram at 0x300000 +0x100000 is damaged"));
}
END_TEST

/* --- for people --- */

static const char *text_at(json_object *json, const char *path)
{
    json_object *found = NULL;

    ck_assert_int_eq(json_pointer_get(json, path, &found), 0);
    return json_object_get_string(found);
}

START_TEST(a_template_is_shown_as_json)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *state = temp_dir_file(&dir, "state");
    const char *const paths[] = {dir.path, state};
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    TemplateSaveParams params = sample_params(dir.path);
    g_autoptr(TemplateSave) save = sample_save(&params, memory, "{\"name\": \"vm\"}");
    g_autoptr(GError) error = NULL;

    ck_assert(template_save_run(save, &error));
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        json_object *json = template_dump(paths[i], &error);

        ck_assert_msg(json != NULL, "%s", error ? error->message : "");
        ck_assert_uint_eq(strlen(text_at(json, "/identity")), 36);
        ck_assert_str_eq(text_at(json, "/sections/0/content/name"), "vm");
        ck_assert_str_eq(text_at(json, "/sections/1/kind"), "device");
        ck_assert_str_eq(text_at(json, "/sections/1/name"), "blk0");
        ck_assert_str_eq(text_at(json, "/sections/1/content/version"), "1");
        ck_assert_str_eq(text_at(json, "/sections/2/content/images/0/id"), "ram");
        ck_assert_str_eq(text_at(json, "/sections/2/content/chunk-bytes"), "1048576");
        json_object_put(json);
    }
    ck_assert_int_eq(truncate(state, 100), 0);
    ck_assert_ptr_null(template_dump(dir.path, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "cut short"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("template");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, what_was_saved_is_read_back);
    tcase_add_test(tc, memory_is_mapped_and_the_template_stays_as_it_is);
    tcase_add_test(tc, a_missing_folder_is_made_with_its_parents);
    tcase_add_test(tc, a_save_replaces_the_template_that_the_vm_runs_from);
    tcase_add_test(tc, vm_without_ram_has_a_template_too);
    tcase_add_test(tc, an_image_is_found_by_the_id_and_size_of_its_backend);
    tcase_add_test(tc, every_flipped_byte_of_state_is_noticed);
    tcase_add_test(tc, every_truncation_of_state_is_noticed);
    tcase_add_test(tc, bytes_behind_the_state_are_noticed);
    tcase_add_test(tc, every_shorter_or_longer_memory_is_noticed);
    tcase_add_test(tc, every_flipped_byte_of_the_trailer_is_noticed);
    tcase_add_test(tc, files_of_two_templates_do_not_go_together);
    tcase_add_test(tc, templates_of_others_are_named_as_such);
    tcase_add_test(tc, what_is_no_template_is_refused_without_waiting);
    tcase_add_test(tc, checksums_find_a_flipped_byte_of_memory);
    tcase_add_test(tc, a_template_is_shown_as_json);
    return suite_run("template", tc);
}
