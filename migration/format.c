/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/format.h"

#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#define MAGIC_BYTES 8

#define AT_ARCH     8
#define AT_VERSION  16
#define AT_SECTIONS 20
#define AT_LENGTH   24
#define AT_IDENTITY 32
#define AT_ZERO     48
#define AT_CHECKSUM 60

/* Of a record. */
#define AT_IMAGE           4
#define AT_OFFSET          8
#define AT_DATA_LENGTH     16
#define AT_DATA_CHECKSUM   24
#define AT_RECORD_CHECKSUM 28

typedef struct FileKind {
    char magic[MAGIC_BYTES];
    const char *name; /* of what the label is part of */
} FileKind;

static const FileKind kinds[] = {
    [FORMAT_STATE] = {"STENCIL\x1a", "state"},
    [FORMAT_MEMORY] = {"STENMEM\x1a", "memory"},
    [FORMAT_STREAM] = {"STENSTR\x1a", "stream"},
};

const char format_footer_magic[8] = "STENEND\x1a";

static const char this_arch[FORMAT_ARCH_BYTES] = TEMPLATE_ARCH;

void format_put_label(FormatFile file, const FormatLabel *label,
                      uint8_t ret_bytes[FORMAT_HEADER_BYTES])
{
    memset(ret_bytes, 0, FORMAT_HEADER_BYTES);
    memcpy(ret_bytes, kinds[file].magic, MAGIC_BYTES);
    memcpy(ret_bytes + AT_ARCH, this_arch, FORMAT_ARCH_BYTES);
    store_le32(ret_bytes + AT_VERSION, FORMAT_VERSION);
    store_le32(ret_bytes + AT_SECTIONS, label->num_sections);
    store_le64(ret_bytes + AT_LENGTH, label->length);
    memcpy(ret_bytes + AT_IDENTITY, label->identity, FORMAT_IDENTITY_BYTES);
    store_le32(ret_bytes + AT_CHECKSUM, crc32c(0, ret_bytes, AT_CHECKSUM));
}

static bool check_arch(const uint8_t *arch, GError **error)
{
    if (memcmp(arch, this_arch, FORMAT_ARCH_BYTES) != 0) {
        g_autofree char *name = g_strndup((const char *)arch, FORMAT_ARCH_BYTES);
        g_autofree char *text = g_strescape(name, NULL);

        return fail(error, VMM_ERROR_WIRE,
                    "it is a template of architecture '%s', and this machine is '%s'", text,
                    TEMPLATE_ARCH);
    }
    return true;
}

bool format_parse_label(FormatFile file, const uint8_t bytes[FORMAT_HEADER_BYTES],
                        FormatLabel *ret_label, GError **error)
{
    static const uint8_t zero[AT_CHECKSUM - AT_ZERO];
    uint32_t version = load_le32(bytes + AT_VERSION);

    if (memcmp(bytes, kinds[file].magic, MAGIC_BYTES) != 0) {
        return fail(error, VMM_ERROR_WIRE, "it is not the %s of a template", kinds[file].name);
    }
    if (load_le32(bytes + AT_CHECKSUM) != crc32c(0, bytes, AT_CHECKSUM)) {
        return fail(error, VMM_ERROR_WIRE,
                    "it is damaged: its label has checksum 0x%08" PRIx32 ", expected 0x%08" PRIx32,
                    crc32c(0, bytes, AT_CHECKSUM), load_le32(bytes + AT_CHECKSUM));
    }
    if (version != FORMAT_VERSION) {
        return fail(error, VMM_ERROR_WIRE,
                    "it has format version %" PRIu32 ", and this program knows version %d only",
                    version, FORMAT_VERSION);
    }
    if (!check_arch(bytes + AT_ARCH, error)) {
        return false;
    }
    if (memcmp(bytes + AT_ZERO, zero, sizeof(zero)) != 0) {
        return fail(error, VMM_ERROR_WIRE, "it is damaged: its label is not zero where it must be");
    }
    ret_label->num_sections = load_le32(bytes + AT_SECTIONS);
    ret_label->length = load_le64(bytes + AT_LENGTH);
    memcpy(ret_label->identity, bytes + AT_IDENTITY, FORMAT_IDENTITY_BYTES);
    return true;
}

bool format_new_identity(uint8_t ret_identity[FORMAT_IDENTITY_BYTES], GError **error)
{
    if (getrandom(ret_identity, FORMAT_IDENTITY_BYTES, 0) != FORMAT_IDENTITY_BYTES) {
        return fail_errno(error, errno, "random bytes for the identity of a template");
    }
    ret_identity[6] = (ret_identity[6] & 0x0f) | 0x40; /* a UUID, version 4 */
    ret_identity[8] = (ret_identity[8] & 0x3f) | 0x80;
    return true;
}

/* --- records of a stream --- */

void format_put_record(const FormatRecord *record, uint8_t ret_bytes[FORMAT_RECORD_BYTES])
{
    store_le32(ret_bytes, (uint32_t)record->kind);
    store_le32(ret_bytes + AT_IMAGE, record->image);
    store_le64(ret_bytes + AT_OFFSET, record->offset);
    store_le64(ret_bytes + AT_DATA_LENGTH, record->length);
    store_le32(ret_bytes + AT_DATA_CHECKSUM, record->data_checksum);
    store_le32(ret_bytes + AT_RECORD_CHECKSUM, crc32c(0, ret_bytes, AT_RECORD_CHECKSUM));
}

bool format_parse_record(const uint8_t bytes[FORMAT_RECORD_BYTES], FormatRecord *ret_record,
                         GError **error)
{
    uint32_t found = crc32c(0, bytes, AT_RECORD_CHECKSUM);
    uint32_t expected = load_le32(bytes + AT_RECORD_CHECKSUM);
    uint32_t kind = load_le32(bytes);

    if (found != expected) {
        return fail(error, VMM_ERROR_WIRE,
                    "it is damaged: it has checksum 0x%08" PRIx32 ", expected 0x%08" PRIx32, found,
                    expected);
    }
    if (kind != FORMAT_RECORD_MEMORY && kind != FORMAT_RECORD_END) {
        return fail(error, VMM_ERROR_WIRE, "kind %" PRIu32 " is unknown", kind);
    }
    *ret_record = (FormatRecord){
        .kind = (FormatRecordKind)kind,
        .image = load_le32(bytes + AT_IMAGE),
        .offset = load_le64(bytes + AT_OFFSET),
        .length = load_le64(bytes + AT_DATA_LENGTH),
        .data_checksum = load_le32(bytes + AT_DATA_CHECKSUM),
    };
    return true;
}
