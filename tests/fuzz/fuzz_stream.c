/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A template out of a stream, byte by byte.  A fuzzer would only ever meet the checksums, so the
 * input comes without them: the first byte says how to go on.
 *
 *     even   the rest is a whole stream, taken as it is
 *     odd    the rest is a map and a list of records, which get a label and checksums that are right
 */
#include "migration/state_file.h"
#include "migration/template.h"
#include "migration/template_map.h"
#include "migration/vmstate.h"
#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/fd.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t identity[FORMAT_IDENTITY_BYTES] = {1, 2, 3};

#define MAX_IMAGES 4
#define MAX_PAGES  16 /* of one */

/* What came out holds what its map says. */
static void use(const TemplateReader *reader)
{
    for (unsigned i = 0; i < MAX_IMAGES; i++) {
        char name[] = {(char)('a' + i), '\0'};

        for (uint64_t pages = 1; pages <= MAX_PAGES; pages++) {
            RamImage image;
            struct stat st;

            if (!template_reader_image(reader, name, pages * PAGE_BYTES, &image, NULL) ||
                image.fd < 0) {
                continue;
            }
            g_assert(fstat(image.fd, &st) == 0);
            g_assert(image.offset + image.size <= (uint64_t)st.st_size);
        }
    }
    g_assert(template_verify_memory(reader, NULL));
}

static void take(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Channel) channel = NULL;
    g_autoptr(TemplateReader) reader = NULL;
    auto_fd int fd = memfd_create("stream", MFD_CLOEXEC);

    g_assert(fd >= 0 && fd_write_all(fd, "stream", data, size, NULL));
    g_assert(lseek(fd, 0, SEEK_SET) == 0);
    channel = channel_new_take(fd_steal(&fd), "stream", CHANNEL_READ, NULL);
    g_assert(channel);
    reader = template_reader_begin(channel, &error);
    g_assert((reader != NULL) == (error == NULL));
    /* More than a small VM would ask for is nobody's wish. */
    if (reader && template_reader_memory_bytes(reader) <= 64 * MIB) {
        bool ok = template_reader_receive(reader, channel, &error);

        g_assert(ok == (error == NULL));
        if (ok) {
            use(reader);
        }
    }
}

/* ---- with checksums ------------------------------------------------------------------------- */

typedef struct Input {
    const uint8_t *at;
    size_t left;
} Input;

/* Zeroes where the input ends. */
static uint64_t take_number(Input *input, size_t len)
{
    uint8_t bytes[sizeof(uint64_t)] = {0};
    size_t n = MIN(len, input->left);

    memcpy(bytes, input->at, n);
    input->at += n;
    input->left -= n;
    return load_le64(bytes);
}

/* count u8, then for each image: stored u8, pages - 1 u8 */
static void put_state(Input *input, GByteArray *out, uint32_t *ret_checksum)
{
    g_autoptr(TemplateMap) map = template_map_new();
    g_autoptr(GByteArray) payload = g_byte_array_new();
    unsigned count = (unsigned)take_number(input, 1) % (MAX_IMAGES + 1);
    uint8_t bytes[FORMAT_HEADER_BYTES];
    FormatLabel label = {0};
    StateBuilder builder;
    bool ok;

    map->in_records = 1;
    for (unsigned i = 0; i < count; i++) {
        char name[] = {(char)('a' + i), '\0'};
        bool stored = take_number(input, 1) % 2 == 0;

        template_map_add(map, name, (take_number(input, 1) % MAX_PAGES + 1) * PAGE_BYTES, stored);
    }
    template_map_lay_out(map);
    state_builder_init(&builder);
    ok = vmstate_save(&template_map_vmstate, map, payload, NULL);
    state_builder_add(&builder, TEMPLATE_SECTION_MEMORY, "", payload->data, payload->len);
    ok = ok && state_builder_finish(&builder, identity, NULL);
    g_assert(ok);
    label.length = builder.bytes->len;
    memcpy(label.identity, identity, sizeof(identity));
    format_put_label(FORMAT_STREAM, &label, bytes);
    *ret_checksum = crc32c(0, bytes, FORMAT_LABEL_SUMMED);
    g_byte_array_append(out, bytes, sizeof(bytes));
    g_byte_array_append(out, builder.bytes->data, builder.bytes->len);
    state_builder_fini(&builder);
}

/* kind u8, image u8, offset in pages u16, length in pages u8, what is added to both u8, data u8 */
static void put_records(Input *input, GByteArray *out, uint32_t checksum)
{
    uint64_t num_records = 0;
    uint64_t num_bytes = 0;

    while (input->left > 0 && out->len < MIB / 4) {
        FormatRecord record = {.kind = (FormatRecordKind)(take_number(input, 1) % 4)};
        g_autofree uint8_t *data = NULL;
        uint8_t bytes[FORMAT_RECORD_BYTES];
        uint64_t odd;
        uint64_t len;

        record.image = (uint32_t)take_number(input, 1);
        record.offset = take_number(input, 2) * PAGE_BYTES;
        record.length = take_number(input, 1) * PAGE_BYTES;
        odd = take_number(input, 1);
        record.offset += odd % 16;
        record.length += odd / 16;
        len = MIN(record.length, FORMAT_MAX_DATA_BYTES);
        data = g_malloc(len + 1);
        memset(data, (int)take_number(input, 1), len + 1);
        record.data_checksum = crc32c(0, data, len);
        if (record.kind == FORMAT_RECORD_END && record.length == 0) {
            record.image = 0;
            record.offset = num_records;
            record.length = num_bytes;
            record.data_checksum = checksum;
        }
        format_put_record(&record, bytes);
        checksum = crc32c(checksum, bytes, FORMAT_RECORD_SUMMED);
        num_records++;
        num_bytes += len;
        g_byte_array_append(out, bytes, sizeof(bytes));
        g_byte_array_append(out, data, (guint)len);
    }
}

static void forge(Input input)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint32_t checksum;

    put_state(&input, out, &checksum);
    put_records(&input, out, checksum);
    take(out->data, out->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] % 2 == 0) {
        take(data + 1, size - 1);
    } else if (size > 0) {
        forge((Input){data + 1, size - 1});
    }
    return 0;
}
