/* SPDX-License-Identifier: Apache-2.0 */
/* A template as a stream: there and back, and everything that can be wrong with one. */
#include "migration/template.h"

#include "hypervisor/ram_backend.h"
#include "migration/format.h"
#include "migration/state_file.h"
#include "migration/template_dump.h"
#include "migration/template_map.h"
#include "tests/support/template_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_BYTES (4 * MIB)

/* A file without a name, at its beginning. */
static int scratch(const GByteArray *bytes)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    if (bytes) {
        ck_assert(fd_write_all(fd, "stream", bytes->data, bytes->len, NULL));
        ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    }
    return fd;
}

static GByteArray *content(int fd)
{
    GByteArray *bytes = g_byte_array_new();
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    g_byte_array_set_size(bytes, (guint)st.st_size);
    ck_assert(fd_pread_all(fd, "stream", bytes->data, bytes->len, 0, NULL));
    return bytes;
}

static bool save_to(Channel *channel, const GuestMemory *memory, GError **error)
{
    const TemplateSaveParams params = {.stream = channel};
    g_autoptr(TemplateSave) save = sample_save(&params, memory, "{}");

    return template_save_run(save, error);
}

static bool save_to_fd(int fd, const GuestMemory *memory, GError **error)
{
    g_autoptr(Channel) channel = channel_new_take(fd, "sink", CHANNEL_WRITE, error);

    return channel && save_to(channel, memory, error);
}

static TemplateReader *read_from_fd(int fd, GError **error)
{
    g_autoptr(Channel) channel = channel_new_take(fd, "source", CHANNEL_READ, error);
    g_autoptr(TemplateReader) reader = channel ? template_reader_begin(channel, error) : NULL;

    return reader && template_reader_receive(reader, channel, error) ? g_steal_pointer(&reader)
                                                                     : NULL;
}

static GuestMemory *restore(const TemplateReader *reader)
{
    GuestMemory *memory = guest_mem_new(NULL);
    RamImage image;
    RamBackendConfig config = {
        .id = "ram", .kind = RAM_ANONYMOUS, .size = RAM_BYTES, .image = &image};

    ck_assert(template_reader_image(reader, "ram", RAM_BYTES, &image, NULL));

    RamBackend *backend = guest_mem_add_backend(memory, &config, NULL);

    ck_assert(guest_mem_add_block(memory, backend, 0, GPA(0), RAM_BYTES, NULL));
    return memory;
}

/* Three pages in two records. */
static GByteArray *sample_stream(void)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    auto_fd int fd = scratch(NULL);

    sample_fill(memory, 10, 2, 1);
    sample_fill(memory, 700, 1, 1);
    ck_assert(save_to_fd(dup(fd), memory, NULL));
    return content(fd);
}

/* As read from a file. */
static void check_refused(const GByteArray *bytes, const char *fragment)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TemplateReader) reader = read_from_fd(scratch(bytes), &error);

    ck_assert_ptr_null(reader);
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_WIRE));
    ck_assert_msg(strstr(error->message, fragment) != NULL, "'%s' does not say '%s'",
                  error->message, fragment);
    ck_assert_msg(g_str_has_prefix(error->message, "'source'"), "%s", error->message);
}

/* ---- there and back ---- */

START_TEST(what_was_saved_is_read_back)
{
    g_autoptr(GByteArray) bytes = sample_stream();
    g_autoptr(GError) error = NULL;
    g_autoptr(TemplateReader) reader = read_from_fd(scratch(bytes), &error);
    size_t len;

    ck_assert_msg(reader != NULL, "%s", error ? error->message : "");
    ck_assert_uint_eq(template_reader_num_sections(reader), 3);
    ck_assert_mem_eq(template_reader_section(reader, TEMPLATE_SECTION_CONFIG, "", &len), "{}", 2);
    ck_assert_uint_eq(template_reader_memory_bytes(reader), RAM_BYTES);
    ck_assert(template_verify_memory(reader, &error));

    g_autoptr(GuestMemory) memory = restore(reader);

    g_clear_pointer(&reader, template_reader_free);
    ck_assert(sample_has(memory, 10, 2, 1));
    ck_assert(sample_has(memory, 700, 1, 1));
    ck_assert(page_is_zero(guest_mem_ptr(memory, GPA(0), 10 * PAGE_BYTES, GUEST_READ, NULL),
                           10 * PAGE_BYTES));
}
END_TEST

START_TEST(what_holds_nothing_does_not_travel)
{
    g_autoptr(GByteArray) bytes = sample_stream();

    ck_assert_uint_lt(bytes->len, 3 * PAGE_BYTES + 1024);
}
END_TEST

START_TEST(what_came_out_of_a_stream_is_saved_like_anything_else)
{
    g_autoptr(GByteArray) bytes = sample_stream();
    g_autoptr(TemplateReader) reader = read_from_fd(scratch(bytes), NULL);
    g_autoptr(GuestMemory) memory = restore(reader);
    auto_fd int fd = scratch(NULL);

    sample_fill(memory, 11, 1, 2);
    ck_assert(save_to_fd(dup(fd), memory, NULL));

    g_autoptr(GByteArray) again = content(fd);
    g_autoptr(TemplateReader) second = read_from_fd(scratch(again), NULL);
    g_autoptr(GuestMemory) copy = restore(second);

    ck_assert_uint_eq(again->len, bytes->len);
    ck_assert(sample_has(copy, 10, 1, 1));
    ck_assert(sample_has(copy, 11, 1, 2));
    ck_assert(sample_has(copy, 700, 1, 1));
}
END_TEST

START_TEST(vm_without_ram_has_a_stream_too)
{
    g_autoptr(GuestMemory) memory = guest_mem_new(NULL);
    auto_fd int fd = scratch(NULL);

    ck_assert(save_to_fd(dup(fd), memory, NULL));

    g_autoptr(GByteArray) bytes = content(fd);
    g_autoptr(TemplateReader) reader = read_from_fd(scratch(bytes), NULL);

    ck_assert_ptr_nonnull(reader);
    ck_assert_uint_eq(template_reader_memory_bytes(reader), 0);
}
END_TEST

/* The other end of a pipe or a socket. */
typedef struct Saver {
    int fd;
    const GuestMemory *memory;
} Saver;

static void *save_thread(void *opaque)
{
    Saver *saver = opaque;
    g_autoptr(GError) error = NULL;

    if (!save_to_fd(saver->fd, saver->memory, &error)) {
        g_error("%s", error->message);
    }
    return NULL;
}

static void make_ends(bool socket, int ret_ends[2])
{
    if (socket) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_ends), 0);
    } else {
        ck_assert_int_eq(pipe2(ret_ends, O_CLOEXEC), 0);
        fcntl(ret_ends[0], F_SETPIPE_SZ, 4096); /* writes and reads are short ones */
    }
}

START_TEST(a_pipe_and_a_socket_carry_it)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    g_autoptr(GError) error = NULL;
    int ends[2];

    sample_fill(memory, 3, 900, 7);
    make_ends(_i != 0, ends);

    Saver saver = {.fd = ends[1], .memory = memory};
    GThread *thread = g_thread_new("saver", save_thread, &saver);
    g_autoptr(TemplateReader) reader = read_from_fd(ends[0], &error);

    g_thread_join(thread);
    ck_assert_msg(reader != NULL, "%s", error ? error->message : "");

    g_autoptr(GuestMemory) copy = restore(reader);

    ck_assert(sample_has(copy, 3, 900, 7));
}
END_TEST

START_TEST(nothing_behind_the_end_is_taken)
{
    g_autoptr(GByteArray) bytes = sample_stream();
    guint len = bytes->len;
    auto_fd int fd = -1;

    g_byte_array_append(bytes, (const uint8_t *)"more", 4);
    fd = scratch(bytes);

    g_autoptr(TemplateReader) reader = read_from_fd(dup(fd), NULL);

    ck_assert_ptr_nonnull(reader);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), (off_t)len);
}
END_TEST

START_TEST(it_begins_wherever_the_descriptor_is)
{
    g_autoptr(GByteArray) bytes = sample_stream();
    auto_fd int fd = -1;

    g_byte_array_prepend(bytes, (const uint8_t *)"a header", 8);
    fd = scratch(bytes);
    ck_assert_int_eq(lseek(fd, 8, SEEK_SET), 8);

    g_autoptr(TemplateReader) reader = read_from_fd(fd_steal(&fd), NULL);

    ck_assert_ptr_nonnull(reader);
}
END_TEST

/* ---- damage ---- */

START_TEST(every_flipped_byte_is_noticed)
{
    g_autoptr(GByteArray) bytes = sample_stream();

    for (guint i = 0; i < bytes->len; i++) {
        bytes->data[i] ^= (uint8_t)(1 << i % 8);
        check_refused(bytes, "");
        bytes->data[i] ^= (uint8_t)(1 << i % 8);
    }
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
    g_autoptr(GByteArray) bytes = sample_stream();

    while (bytes->len > 0) {
        g_autofree char *where = g_strdup_printf("it ends after %u bytes", bytes->len - 1);

        g_byte_array_set_size(bytes, bytes->len - 1);
        check_refused(bytes, where);
    }
}
END_TEST

START_TEST(a_folders_files_and_noise_are_not_streams)
{
    g_autoptr(GByteArray) bytes = sample_stream();
    g_autoptr(GByteArray) noise = g_byte_array_new();

    g_byte_array_remove_range(bytes, 0, FORMAT_HEADER_BYTES); /* begins with a state now */
    check_refused(bytes, "it is not the stream of a template");
    g_byte_array_set_size(noise, 1000);
    memset(noise->data, 0x51, noise->len);
    check_refused(noise, "it is not the stream of a template");
}
END_TEST

/* ---- streams that somebody made, with checksums that are right ---- */

typedef struct Forge {
    GByteArray *bytes;
    uint32_t checksum;
    uint64_t num_records;
    uint64_t num_bytes;
} Forge;

static const uint8_t identity[FORMAT_IDENTITY_BYTES] = {1, 2, 3};
static const uint8_t page[PAGE_BYTES] = {4, 5, 6};

static void forge_label(Forge *forge, uint64_t state_len, const uint8_t *whose)
{
    FormatLabel label = {.length = state_len};
    uint8_t bytes[FORMAT_HEADER_BYTES];

    memcpy(label.identity, whose, sizeof(label.identity));
    format_put_label(FORMAT_STREAM, &label, bytes);
    forge->checksum = crc32c(0, bytes, FORMAT_LABEL_SUMMED);
    g_byte_array_append(forge->bytes, bytes, sizeof(bytes));
}

static void forge_state(Forge *forge, TemplateMap *map, const uint8_t *whose)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();
    StateBuilder builder;

    state_builder_init(&builder);
    if (map) {
        ck_assert(vmstate_save(&template_map_vmstate, map, payload, NULL));
        state_builder_add(&builder, TEMPLATE_SECTION_MEMORY, "", payload->data, payload->len);
    }
    ck_assert(state_builder_finish(&builder, identity, NULL));
    forge_label(forge, builder.bytes->len, whose);
    g_byte_array_append(forge->bytes, builder.bytes->data, builder.bytes->len);
    state_builder_fini(&builder);
}

/* Images: 0 "ram" of 16 pages, 1 "rom" that is not stored, 2 "high" of 4 pages. */
static TemplateMap *forge_map(bool in_records)
{
    TemplateMap *map = template_map_new();

    map->in_records = in_records;
    template_map_add(map, "ram", 16 * PAGE_BYTES, /* stored= */ true);
    template_map_add(map, "rom", PAGE_BYTES, /* stored= */ false);
    template_map_add(map, "high", 4 * PAGE_BYTES, /* stored= */ true);
    template_map_lay_out(map);
    return map;
}

static void forge_begin(Forge *forge)
{
    g_autoptr(TemplateMap) map = forge_map(/* in_records= */ true);

    *forge = (Forge){.bytes = g_byte_array_new()};
    forge_state(forge, map, identity);
}

static void forge_head(Forge *forge, const FormatRecord *record)
{
    uint8_t bytes[FORMAT_RECORD_BYTES];

    format_put_record(record, bytes);
    if (record->kind != FORMAT_RECORD_END) {
        forge->checksum = crc32c(forge->checksum, bytes, FORMAT_RECORD_SUMMED);
    }
    g_byte_array_append(forge->bytes, bytes, sizeof(bytes));
}

static void forge_record(Forge *forge, uint32_t image, uint64_t offset, uint64_t length)
{
    const FormatRecord record = {
        .kind = FORMAT_RECORD_MEMORY,
        .image = image,
        .offset = offset,
        .length = length,
        .data_checksum = crc32c(0, page, sizeof(page)),
    };

    forge_head(forge, &record);
    g_byte_array_append(forge->bytes, page, sizeof(page));
    forge->num_records++;
    forge->num_bytes += sizeof(page);
}

static FormatRecord end_of(const Forge *forge)
{
    return (FormatRecord){
        .kind = FORMAT_RECORD_END,
        .offset = forge->num_records,
        .length = forge->num_bytes,
        .data_checksum = forge->checksum,
    };
}

static void forge_check(Forge *forge, const char *fragment)
{
    check_refused(forge->bytes, fragment);
    g_byte_array_unref(forge->bytes);
}

START_TEST(a_forged_stream_is_as_good_as_ours)
{
    g_autoptr(GError) error = NULL;
    Forge forge;

    forge_begin(&forge);
    forge_record(&forge, 0, 0, PAGE_BYTES);
    forge_record(&forge, 0, 15 * PAGE_BYTES, PAGE_BYTES);
    forge_record(&forge, 2, 0, PAGE_BYTES);

    const FormatRecord end = end_of(&forge);

    forge_head(&forge, &end);

    g_autoptr(TemplateReader) reader = read_from_fd(scratch(forge.bytes), &error);

    ck_assert_msg(reader != NULL, "%s", error ? error->message : "");
    g_byte_array_unref(forge.bytes);
}
END_TEST

static const struct {
    uint32_t image;
    uint64_t offset;
    uint64_t length;
    const char *message;
} hostile[] = {
    {1, 0, PAGE_BYTES, "image 1 is not one that it holds"},
    {3, 0, PAGE_BYTES, "image 3 is not one that it holds"},
    {UINT32_MAX, 0, PAGE_BYTES, "image 4294967295 is not one that it holds"},
    {2, 16 * PAGE_BYTES, PAGE_BYTES, "memory high at 0x10000 +0x1000: expected whole pages"},
    {2, 3 * PAGE_BYTES, 2 * PAGE_BYTES, "within its 0x4000"},
    {2, UINT64_MAX - PAGE_BYTES + 1, PAGE_BYTES, "within its 0x4000"},
    {2, 0, 0, "+0x0: expected whole pages"},
    {2, 0, 100, "+0x64: expected whole pages"},
    {2, 100, PAGE_BYTES, "at 0x64 +0x1000: expected whole pages"},
    {2, 0, UINT64_MAX - PAGE_BYTES + 1, "expected whole pages"},
    {2, 0, FORMAT_MAX_DATA_BYTES + PAGE_BYTES, "at most 1048576 bytes"},
    {0, 8 * PAGE_BYTES, PAGE_BYTES, "record 1: image 0 at 0x8000 overlaps its predecessor"},
    {0, 0, PAGE_BYTES, "or is out of order: expected image 0 at 0x9000 or later"},
};

START_TEST(records_that_lead_astray_are_refused)
{
    Forge forge;

    forge_begin(&forge);
    forge_record(&forge, 0, 8 * PAGE_BYTES, PAGE_BYTES);
    forge_record(&forge, hostile[_i].image, hostile[_i].offset, hostile[_i].length);
    forge_check(&forge, hostile[_i].message);
}
END_TEST

START_TEST(an_earlier_image_does_not_come_again)
{
    Forge forge;

    forge_begin(&forge);
    forge_record(&forge, 2, 0, PAGE_BYTES);
    forge_record(&forge, 0, 8 * PAGE_BYTES, PAGE_BYTES);
    forge_check(&forge, "record 1: image 0 at 0x8000 overlaps");
}
END_TEST

START_TEST(an_unknown_kind_of_record_is_refused)
{
    Forge forge;
    const FormatRecord record = {.kind = (FormatRecordKind)3};

    forge_begin(&forge);
    forge_head(&forge, &record);
    forge_check(&forge, "record 0: kind 3 is unknown");
}
END_TEST

/* Which member of a right end is wrong. */
START_TEST(an_end_that_counts_otherwise_is_refused)
{
    static const FormatRecord wrong[] = {
        {.image = 1}, {.offset = 1}, {.length = 1}, {.data_checksum = 1}};
    Forge forge;
    FormatRecord end;

    forge_begin(&forge);
    forge_record(&forge, 0, 0, PAGE_BYTES);
    end = end_of(&forge);
    end.image += wrong[_i].image;
    end.offset += wrong[_i].offset;
    end.length += wrong[_i].length;
    end.data_checksum += wrong[_i].data_checksum;
    forge_head(&forge, &end);
    forge_check(&forge, _i < 3 ? "and it had 1 with 4096" : "its records have checksum");
}
END_TEST

/* Of a whole stream: the record of page 700 is left out, and with it its data. */
START_TEST(a_record_that_is_missing_is_noticed)
{
    g_autoptr(GByteArray) bytes = sample_stream();
    guint cut = FORMAT_RECORD_BYTES + PAGE_BYTES;

    g_byte_array_remove_range(bytes, bytes->len - FORMAT_RECORD_BYTES - cut, cut);
    check_refused(bytes, "its end says 2 records with 12288 bytes, and it had 1 with 8192");
}
END_TEST

START_TEST(a_record_of_another_stream_is_noticed)
{
    g_autoptr(GByteArray) one = sample_stream();
    g_autoptr(GByteArray) two = sample_stream();
    guint tail = 2 * FORMAT_RECORD_BYTES + PAGE_BYTES;

    /* With the end that belongs to it; only the labels differ. */
    ck_assert_uint_eq(one->len, two->len);
    memcpy(one->data + one->len - tail, two->data + two->len - tail, tail);
    check_refused(one, "its records have checksum");
}
END_TEST

START_TEST(a_record_with_other_data_is_noticed_though_its_own_checksums_fit)
{
    static const uint8_t other[PAGE_BYTES] = {7};
    const FormatRecord record = {
        .kind = FORMAT_RECORD_MEMORY,
        .offset = 700 * PAGE_BYTES,
        .length = PAGE_BYTES,
        .data_checksum = crc32c(0, other, sizeof(other)),
    };
    g_autoptr(GByteArray) bytes = sample_stream();
    uint8_t *at = bytes->data + bytes->len - 2 * FORMAT_RECORD_BYTES - PAGE_BYTES;

    format_put_record(&record, at);
    memcpy(at + FORMAT_RECORD_BYTES, other, sizeof(other));
    check_refused(bytes, "its records have checksum");
}
END_TEST

START_TEST(labels_and_states_that_do_not_fit_are_refused)
{
    static const uint8_t another[FORMAT_IDENTITY_BYTES] = {9};
    g_autoptr(TemplateMap) map = forge_map(/* in_records= */ true);
    g_autoptr(TemplateMap) folders = forge_map(/* in_records= */ false);
    Forge forge = {.bytes = g_byte_array_new()};

    forge_label(&forge, FORMAT_MAX_STATE_BYTES + 1, identity);
    forge_check(&forge, "its label says 0 sections and 67108865 bytes of state");
    forge = (Forge){.bytes = g_byte_array_new()};
    forge_label(&forge, 0, identity);
    forge_check(&forge, "its label says 0 sections and 0 bytes of state");
    forge = (Forge){.bytes = g_byte_array_new()};
    forge_state(&forge, map, another);
    forge_check(&forge, "its state belongs to another template");
    forge = (Forge){.bytes = g_byte_array_new()};
    forge_state(&forge, NULL, identity);
    forge_check(&forge, "it has no section memory");
    forge = (Forge){.bytes = g_byte_array_new()};
    forge_state(&forge, folders, identity);
    forge_check(&forge, "its map is that of a folder");
}
END_TEST

START_TEST(a_stream_in_a_file_can_be_looked_into)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "stream");
    g_autoptr(GByteArray) bytes = sample_stream();
    g_autoptr(GError) error = NULL;
    json_object *json;
    json_object *sections;

    /* Without its memory, which nobody asks for. */
    ck_assert(g_file_set_contents(path, (const char *)bytes->data,
                                  (gssize)(bytes->len - PAGE_BYTES), NULL));
    json = template_dump(path, &error);
    ck_assert_msg(json != NULL, "%s", error ? error->message : "");
    ck_assert(json_object_object_get_ex(json, "sections", &sections));
    ck_assert_uint_eq(json_object_array_length(sections), 3);
    json_object_put(json);
}
END_TEST

START_TEST(a_streams_state_makes_no_folder)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "state");
    g_autoptr(GByteArray) bytes = sample_stream();
    g_autoptr(GError) error = NULL;
    uint64_t len = load_le64(bytes->data + 24);

    ck_assert(g_file_set_contents(path, (const char *)bytes->data + FORMAT_HEADER_BYTES,
                                  (gssize)len, NULL));
    ck_assert_ptr_null(template_reader_open(dir.path, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "it is the state of a stream"));
}
END_TEST

/* ---- the other side ---- */

/* Sends valid records for as long as it is read. */
static void *send_without_end(void *opaque)
{
    int fd = GPOINTER_TO_INT(opaque);
    Forge forge;

    forge_begin(&forge);
    while (forge.num_records < 1000000 &&
           fd_write_all(fd, "endless", forge.bytes->data, forge.bytes->len, NULL)) {
        g_byte_array_set_size(forge.bytes, 0);
        forge_record(&forge, 2, forge.num_records * PAGE_BYTES, PAGE_BYTES);
    }
    g_byte_array_unref(forge.bytes);
    fd_close(&fd);
    return GUINT_TO_POINTER((guint)forge.num_records);
}

START_TEST(a_stream_without_an_end_has_one)
{
    g_autoptr(GError) error = NULL;
    int ends[2];

    make_ends(/* socket= */ false, ends);

    GThread *thread = g_thread_new("endless", send_without_end, GINT_TO_POINTER(ends[1]));
    g_autoptr(TemplateReader) reader = read_from_fd(ends[0], &error);

    ck_assert_uint_lt(GPOINTER_TO_UINT(g_thread_join(thread)), 1000000);
    ck_assert_ptr_null(reader);
    ck_assert_ptr_nonnull(strstr(error->message, "record 4: memory high at 0x4000"));
}
END_TEST

START_TEST(a_reader_that_has_gone_is_an_error)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    g_autoptr(GError) error = NULL;
    int ends[2];

    make_ends(_i != 0, ends);
    fd_close(&ends[0]);
    ck_assert(!save_to_fd(ends[1], memory, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "'sink': write at byte 0: Broken pipe"));
}
END_TEST

START_TEST(a_full_disk_is_an_error)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    g_autoptr(GError) error = NULL;

    ck_assert(!save_to_fd(open("/dev/full", O_WRONLY | O_CLOEXEC), memory, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "No space left on device"));
}
END_TEST

typedef struct Canceller {
    TemplateSave *save; /* or */
    Channel *channel;
    int fd; /* cancels when as much as can be is in it */
} Canceller;

static void *cancel_when_full(void *opaque)
{
    Canceller *canceller = opaque;
    uint8_t byte;

    /* The label has come, so the save runs; it can only end up waiting. */
    ck_assert_int_eq(read(canceller->fd, &byte, 1), 1);
    template_save_cancel(canceller->save);
    return NULL;
}

START_TEST(a_cancel_ends_a_save_that_nobody_reads)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    g_autoptr(GError) error = NULL;
    int ends[2];

    sample_fill(memory, 0, RAM_BYTES / PAGE_BYTES, 1);
    make_ends(_i != 0, ends);

    g_autoptr(Channel) channel = channel_new_take(ends[1], "stuck", CHANNEL_WRITE, &error);
    const TemplateSaveParams params = {.stream = channel};
    g_autoptr(TemplateSave) save = sample_save(&params, memory, "{}");
    Canceller canceller = {.save = save, .fd = ends[0]};
    GThread *thread = g_thread_new("cancel", cancel_when_full, &canceller);

    ck_assert(!template_save_run(save, &error));
    g_thread_join(thread);
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_STATE));
    ck_assert_ptr_nonnull(strstr(error->message, "cancelled"));
    fd_close(&ends[0]);
}
END_TEST

static void *cancel_channel(void *opaque)
{
    channel_cancel(opaque);
    return NULL;
}

START_TEST(a_cancel_ends_a_load_that_nobody_feeds)
{
    g_autoptr(GError) error = NULL;
    int ends[2];

    make_ends(_i != 0, ends);

    g_autoptr(Channel) channel = channel_new_take(ends[0], "starved", CHANNEL_READ, &error);
    GThread *thread = g_thread_new("cancel", cancel_channel, channel);

    ck_assert_ptr_null(template_reader_begin(channel, &error));
    g_thread_join(thread);
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_STATE));
    ck_assert_str_eq(error->message, "'starved': it was cancelled");
    fd_close(&ends[1]);
}
END_TEST

START_TEST(a_descriptor_gets_its_flags_back)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    int ends[2];

    make_ends(/* socket= */ true, ends);

    auto_fd int same = dup(ends[1]);

    ck_assert(save_to_fd(ends[1], memory, NULL));
    ck_assert_int_eq(fcntl(same, F_GETFL) & O_NONBLOCK, 0);
    fd_close(&ends[0]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("stream");

    signal(SIGPIPE, SIG_IGN); /* as the program does */
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, what_was_saved_is_read_back);
    tcase_add_test(tc, what_holds_nothing_does_not_travel);
    tcase_add_test(tc, what_came_out_of_a_stream_is_saved_like_anything_else);
    tcase_add_test(tc, vm_without_ram_has_a_stream_too);
    tcase_add_loop_test(tc, a_pipe_and_a_socket_carry_it, 0, 2);
    tcase_add_test(tc, nothing_behind_the_end_is_taken);
    tcase_add_test(tc, it_begins_wherever_the_descriptor_is);
    tcase_add_test(tc, every_flipped_byte_is_noticed);
    tcase_add_test(tc, every_truncation_is_noticed);
    tcase_add_test(tc, a_folders_files_and_noise_are_not_streams);
    tcase_add_test(tc, a_forged_stream_is_as_good_as_ours);
    tcase_add_loop_test(tc, records_that_lead_astray_are_refused, 0, G_N_ELEMENTS(hostile));
    tcase_add_test(tc, an_earlier_image_does_not_come_again);
    tcase_add_test(tc, an_unknown_kind_of_record_is_refused);
    tcase_add_loop_test(tc, an_end_that_counts_otherwise_is_refused, 0, 4);
    tcase_add_test(tc, a_record_that_is_missing_is_noticed);
    tcase_add_test(tc, a_record_of_another_stream_is_noticed);
    tcase_add_test(tc, a_record_with_other_data_is_noticed_though_its_own_checksums_fit);
    tcase_add_test(tc, labels_and_states_that_do_not_fit_are_refused);
    tcase_add_test(tc, a_stream_in_a_file_can_be_looked_into);
    tcase_add_test(tc, a_streams_state_makes_no_folder);
    tcase_add_test(tc, a_stream_without_an_end_has_one);
    tcase_add_loop_test(tc, a_reader_that_has_gone_is_an_error, 0, 2);
    tcase_add_test(tc, a_full_disk_is_an_error);
    tcase_add_loop_test(tc, a_cancel_ends_a_save_that_nobody_reads, 0, 2);
    tcase_add_loop_test(tc, a_cancel_ends_a_load_that_nobody_feeds, 0, 2);
    tcase_add_test(tc, a_descriptor_gets_its_flags_back);
    return suite_run("stream", tc);
}
