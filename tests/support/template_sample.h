/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_TEMPLATE_SAMPLE_H
#define TESTS_SUPPORT_TEMPLATE_SAMPLE_H

/* A small VM's memory and a few sections, saved and read back. */

#include "hypervisor/memory.h"
#include "migration/template.h"

/* A folder that goes with everything in it at the end of the scope. */
typedef struct TempDir {
    char *path;
} TempDir;

TempDir temp_dir_new(void);
void temp_dir_remove(TempDir *dir);
#define auto_dir __attribute__((cleanup(temp_dir_remove))) TempDir

char *temp_dir_file(const TempDir *dir, const char *name); /* the caller frees it */

/* Names in the folder, the hidden ones too, sorted and joined with blanks. */
char *temp_dir_list(const char *path);

/* One anonymous backend "ram" at 0. */
GuestMemory *sample_memory(uint64_t size);

/* Pages [first, first + count) get bytes that differ from page to page and from seed to seed. */
void sample_fill(const GuestMemory *memory, uint64_t first, uint64_t count, uint32_t seed);
bool sample_has(const GuestMemory *memory, uint64_t first, uint64_t count, uint32_t seed);

/* No sync, two threads; change what the test is about. */
TemplateSaveParams sample_params(const char *dir);

/* A save with a config and a device section, ready to run; fails the test if it cannot be made. */
TemplateSave *sample_save(const TemplateSaveParams *params, const GuestMemory *memory,
                          const char *text);

/* The whole way; config is text. */
bool sample_save_all(const char *dir, const GuestMemory *memory, const char *text, GError **error);

/* What the config section of the template says, or NULL with an error. */
char *sample_config(const char *dir, GError **error);

/* New memory made from the template's "ram". */
GuestMemory *sample_restore(const char *dir, const RamBackendConfig *config, GError **error);

#endif
