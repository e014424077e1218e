/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_STATE_FILE_H
#define MIGRATION_STATE_FILE_H

/* The bytes of `state` (format.h), made and taken apart. */

#include "migration/format.h"
#include "migration/template.h"

/* --- making --- */

typedef struct StateBuilder {
    GByteArray *bytes;
    uint32_t num_sections;
} StateBuilder;

void state_builder_init(StateBuilder *builder);
void state_builder_fini(StateBuilder *builder);
void state_builder_add(StateBuilder *builder, TemplateSectionKind kind, const char *name,
                       const void *data, size_t len);

/* Adds the footer and fills in the header; fails if that makes more than a reader would take. */
bool state_builder_finish(StateBuilder *builder, const uint8_t identity[FORMAT_IDENTITY_BYTES],
                          GError **error);

/* --- taking apart --- */

typedef struct StateFile {
    uint8_t *bytes;
    size_t len;
    uint8_t identity[FORMAT_IDENTITY_BYTES];
    GArray *sections; /* of TemplateSection; data points into bytes, names are owned */
} StateFile;

/* Verifies everything.  Takes bytes (g_malloc), also when it fails. */
StateFile *state_file_parse_take(uint8_t *bytes, size_t len, GError **error);

/*
 * The same for a file, found as openat(dir_fd, name) does; path is for messages.  Anything but a
 * regular file, a FIFO say, is refused and never waited for.
 */
StateFile *state_file_read(int dir_fd, const char *name, const char *path, GError **error);
int template_open_regular(int dir_fd, const char *name, const char *path, uint64_t *ret_size,
                          GError **error);

void state_file_free(StateFile *state); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StateFile, state_file_free)

/* NULL if there is none. */
const TemplateSection *state_file_find(const StateFile *state, TemplateSectionKind kind,
                                       const char *name);

#endif
