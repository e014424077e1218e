/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_TEMPLATE_READER_PRIVATE_H
#define MIGRATION_TEMPLATE_READER_PRIVATE_H

/* What a reader is made of.  Private to migration/template_*.c. */

#include "migration/state_file.h"
#include "migration/template.h"
#include "migration/template_map.h"

struct TemplateReader {
    int dir_fd;       /* -1: it is a stream's */
    char *state_path; /* for messages */
    char *memory_path;
    StateFile *state;
    TemplateMap *map;
    int memory_fd;

    uint32_t checksum; /* of a stream's label, with which that of its end begins */
};

bool template_reader_read_map(TemplateReader *reader, GError **error);

#endif
