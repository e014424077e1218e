/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_FORMAT_H
#define MIGRATION_FORMAT_H

/*
 * The two files of a template, and a template as one stream, byte by byte.  All numbers are
 * little-endian.
 *
 *     state                                             memory
 *     +------------------------------+ 0                +------------------------------+ 0
 *     | header, 64 bytes             |                  | image of the first backend,  |
 *     +------------------------------+                  | zero pages are holes         |
 *     | section                      |                  +------------------------------+ n * 2 MiB
 *     | section                      |                  | image of the next            |
 *     | ...                          |                  +------------------------------+ n * 2 MiB
 *     +------------------------------+                  | trailer, 4 KiB               |
 *     | footer, 12 bytes             |                  +------------------------------+ length
 *     +------------------------------+ length
 *
 *     header     0  magic           8   "STENCIL" 0x1a
 *                8  architecture    8   as uname -m spells it, zeroes behind
 *               16  version         4
 *               20  sections        4   how many
 *               24  length          8   of the whole file
 *               32  identity       16   the same in both files; another in each save
 *               48  zero           12
 *               60  checksum        4   CRC-32C of the bytes before it
 *
 *     section    0  kind            2   a TemplateSectionKind
 *                2  name length     2
 *                4  payload length  4
 *                8  checksum        4   CRC-32C of the 8 bytes before it, the name and the payload
 *               12  name, payload
 *
 *     footer     0  magic           8   "STENEND" 0x1a
 *                8  checksum        4   CRC-32C of the whole file up to here
 *
 *     trailer    0  magic           8   "STENMEM" 0x1a
 *                8  architecture    8
 *               16  version         4
 *               20  zero            4
 *               24  length          8   of the whole file, this page included
 *               32  identity       16
 *               48  zero           12
 *               60  checksum        4   CRC-32C of the bytes before it; the page goes on with zeroes
 *
 *     stream
 *     +------------------------------+ 0
 *     | label, as the header of      |
 *     | state; sections is 0, length |
 *     | that of the state behind it  |
 *     +------------------------------+ 64
 *     | state, whole                 |
 *     +------------------------------+ 64 + length
 *     | record, data                 |
 *     | record, data                 |
 *     | ...                          |
 *     +------------------------------+
 *     | record: the end              |
 *     +------------------------------+
 *
 *     record     0  kind            4   a FormatRecordKind           (end: 2)
 *                4  image           4   its number in the map        (end: 0)
 *                8  offset          8   of the data in the image     (end: records before it)
 *               16  length          8   of the data behind this      (end: bytes of data, all told)
 *               24  data checksum   4   CRC-32C of the data          (end: of label and records)
 *               28  checksum        4   CRC-32C of the bytes before it
 *
 *     label      as the header, with magic "STENSTR" 0x1a
 *
 * Records come in the order of their images and offsets and do not overlap.  The end's data checksum
 * is the CRC-32C of the label and of all records before it, each without its own checksum: a CRC of
 * bytes with their CRC behind them is the same whatever the bytes are.
 *
 * The header and the trailer keep their places in every version, so that any version can be named.
 * docs/migration/format.md says what is in the sections, and why the files are laid out so.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORMAT_VERSION           1

#define FORMAT_HEADER_BYTES      64
#define FORMAT_SECTION_BYTES     12
#define FORMAT_FOOTER_BYTES      12
#define FORMAT_TRAILER_BYTES     4096
#define FORMAT_RECORD_BYTES      32
#define FORMAT_LABEL_SUMMED      60 /* bytes in front of its own checksum */
#define FORMAT_RECORD_SUMMED     28
#define FORMAT_MAX_DATA_BYTES    (UINT64_C(1) << 20) /* of one record */

#define FORMAT_IMAGE_ALIGN_BYTES (UINT64_C(2) << 20)
#define FORMAT_MAX_STATE_BYTES   (UINT64_C(64) << 20)
#define FORMAT_MAX_SECTIONS      4096
#define FORMAT_MAX_NAME_BYTES    255

#define FORMAT_ARCH_BYTES        8
#define FORMAT_IDENTITY_BYTES    16

/* What the header of `state`, the trailer of `memory` and the label of a stream say. */
typedef struct FormatLabel {
    uint32_t num_sections; /* of a state */
    uint64_t length;
    uint8_t identity[FORMAT_IDENTITY_BYTES];
} FormatLabel;

typedef enum {
    FORMAT_STATE,
    FORMAT_MEMORY,
    FORMAT_STREAM,
} FormatFile;

void format_put_label(FormatFile file, const FormatLabel *label,
                      uint8_t ret_bytes[FORMAT_HEADER_BYTES]);

/*
 * Says what is wrong in this order: not such a file at all, damaged, of another version, of another
 * architecture.  The lengths are the caller's to compare.
 */
bool format_parse_label(FormatFile file, const uint8_t bytes[FORMAT_HEADER_BYTES],
                        FormatLabel *ret_label, GError **error);

extern const char format_footer_magic[8];

/* A UUID that no other save has. */
bool format_new_identity(uint8_t ret_identity[FORMAT_IDENTITY_BYTES], GError **error);

/* The numbers are part of the format. */
typedef enum {
    FORMAT_RECORD_MEMORY = 1,
    FORMAT_RECORD_END = 2,
} FormatRecordKind;

typedef struct FormatRecord {
    FormatRecordKind kind;
    uint32_t image;
    uint64_t offset;
    uint64_t length;
    uint32_t data_checksum;
} FormatRecord;

void format_put_record(const FormatRecord *record, uint8_t ret_bytes[FORMAT_RECORD_BYTES]);

/* Refuses a damaged one and an unknown kind; what it says is the caller's to judge. */
bool format_parse_record(const uint8_t bytes[FORMAT_RECORD_BYTES], FormatRecord *ret_record,
                         GError **error);

#endif
