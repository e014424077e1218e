/* SPDX-License-Identifier: Apache-2.0 */
/* The PVH start info, as the Xen public headers define it, and the words of the command line. */
#include "tests/guest/lib/boot_info.h"

#include "tests/guest/lib/string.h"

#define START_INFO_MAGIC 0x336ec578

typedef struct StartInfo {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t command_line;
    uint64_t rsdp;
    /* version 1 */
    uint64_t memory_map;
    uint32_t memory_map_count;
    uint32_t reserved;
} StartInfo;

typedef struct StartInfoModule {
    uint64_t start;
    uint64_t size;
    uint64_t command_line;
    uint64_t reserved;
} StartInfoModule;

typedef struct StartInfoRange {
    uint64_t start;
    uint64_t size;
    uint32_t type;
    uint32_t reserved;
} StartInfoRange;

extern const EntryState boot_entry;
static BootInfo info;

void boot_info_read(uint32_t start_info)
{
    const StartInfo *s = (const StartInfo *)(uint64_t)start_info;
    const StartInfoRange *ranges;
    size_t length;

    if (s->magic != START_INFO_MAGIC) {
        return;
    }
    info.version = s->version;
    info.rsdp = s->rsdp;
    if (s->command_line) {
        length = strlen((const char *)s->command_line);
        if (length >= sizeof(info.command_line)) {
            length = sizeof(info.command_line) - 1;
        }
        memcpy(info.command_line, (const char *)s->command_line, length);
    }
    info.module_count = s->module_count;
    if (s->module_count) {
        info.initrd = ((const StartInfoModule *)s->modules)->start;
        info.initrd_size = ((const StartInfoModule *)s->modules)->size;
    }
    if (s->version < 1) {
        return;
    }
    ranges = (const StartInfoRange *)s->memory_map;
    for (uint32_t i = 0; i < s->memory_map_count && i < MEMORY_RANGES_MAX; i++) {
        info.ranges[i] = (MemoryRange){ranges[i].start, ranges[i].size, ranges[i].type};
        info.range_count++;
    }
}

const EntryState *boot_entry_state(void)
{
    return &boot_entry;
}

const BootInfo *boot_info(void)
{
    return &info;
}

static const char *next_word(const char *s)
{
    while (*s && *s != ' ') {
        s++;
    }
    while (*s == ' ') {
        s++;
    }
    return s;
}

const char *boot_word(const char *key, unsigned n)
{
    size_t length = strlen(key);

    for (const char *s = info.command_line; *s; s = next_word(s)) {
        if (string_starts_with(s, key) && s[length] == '=' && n-- == 0) {
            return s + length + 1;
        }
    }
    return NULL;
}

uint64_t boot_option(const char *key, uint64_t otherwise)
{
    const char *text = boot_word(key, 0);

    return text ? string_parse_number(text, NULL) : otherwise;
}

bool boot_flag(const char *key)
{
    size_t length = strlen(key);

    for (const char *s = info.command_line; *s; s = next_word(s)) {
        if (string_starts_with(s, key) && (s[length] == ' ' || !s[length])) {
            return true;
        }
    }
    return false;
}
