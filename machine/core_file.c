/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/core_file.h"

#include "hypervisor/debug.h"
#include "hypervisor/ram_backend.h"
#include "hypervisor/ram_lazy.h"
#include "util/bytes.h"
#include "util/error.h"

#include <elf.h>
#include <inttypes.h>

/* What is looked at, and at most written, in one go. */
#define WINDOW_BYTES MIB
#define WINDOW_PAGES (WINDOW_BYTES / PAGE_BYTES)

#define PID_AT       32 /* in every architecture's prstatus */

typedef struct CoreRange {
    const RamBlock *block;
    uint64_t offset; /* in the block */
    uint64_t len;
} CoreRange;

struct CoreFile {
    GArray *ranges; /* of CoreRange, by address */
    uint64_t ram_bytes;
    GByteArray *notes;  /* Linux's, one for each vCPU */
    GByteArray *system; /* QEMU's, the same */
    uint32_t num_vcpus;
};

/* ---- what goes into it ---- */

static void add_range(CoreFile *core, const RamBlock *block, const CoreFilter *filter)
{
    uint64_t start = block->base.v;
    uint64_t end = start + block->size;
    uint64_t limit = UINT64_MAX;
    CoreRange range = {.block = block};

    if (filter) {
        if (!checked_add(filter->begin, filter->length, &limit)) {
            limit = UINT64_MAX;
        }
        start = MAX(start, filter->begin);
        end = MIN(end, limit);
    }
    if (start < end) {
        range.offset = start - block->base.v;
        range.len = end - start;
        g_array_append_val(core->ranges, range);
        core->ram_bytes += range.len;
    }
}

CoreFile *core_file_new(const GuestMemory *mem, const CoreFilter *filter, GError **error)
{
    g_autoptr(CoreFile) core = g_new0(CoreFile, 1);
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(mem, &count);

    core->ranges =
        g_array_new(/* zero_terminated= */ FALSE, /* clear_= */ FALSE, sizeof(CoreRange));
    core->notes = g_byte_array_new();
    core->system = g_byte_array_new();
    for (size_t i = 0; i < count; i++) {
        add_range(core, &blocks[i], filter);
    }
    if (core->ram_bytes == 0 && filter) {
        return fail_null(error, VMM_ERROR_CONFIG,
                         "dump: no guest memory to dump: there is no RAM in 0x%" PRIx64
                         " bytes at guest address 0x%" PRIx64,
                         filter->length, filter->begin);
    }
    if (core->ram_bytes == 0 || core->ranges->len >= PN_XNUM - 1) {
        return fail_null(error, VMM_ERROR_CONFIG,
                         "dump: no guest memory to dump: %u ranges of RAM, expected 1 to %d",
                         core->ranges->len, PN_XNUM - 2);
    }
    return g_steal_pointer(&core);
}

void core_file_free(CoreFile *core)
{
    if (core) {
        g_array_unref(core->ranges);
        g_byte_array_unref(core->notes);
        g_byte_array_unref(core->system);
        g_free(core);
    }
}

uint64_t core_file_ram_bytes(const CoreFile *core)
{
    return core->ram_bytes;
}

/* The register of that name as 64 bits. */
static uint64_t register_value(const char *name, const uint8_t *block)
{
    for (size_t i = 0; i < debug_target.num_registers; i++) {
        const DebugRegister *reg = &debug_target.registers[i];

        if (strcmp(reg->name, name) == 0) {
            return load_le(block + debug_register_offset(&debug_target, i),
                           (unsigned)debug_register_bytes(reg));
        }
    }
    return 0;
}

#define NAME_BYTES 5 /* "CORE" or "QEMU" with its zero */

/* name has NAME_BYTES, and what fills up its last word. */
static void add_note(GByteArray *notes, const char name[8], uint32_t type, const uint8_t *desc,
                     uint32_t len)
{
    uint8_t header[sizeof(Elf64_Nhdr)];

    store_le32(header + offsetof(Elf64_Nhdr, n_namesz), NAME_BYTES);
    store_le32(header + offsetof(Elf64_Nhdr, n_descsz), len);
    store_le32(header + offsetof(Elf64_Nhdr, n_type), type);
    g_byte_array_append(notes, header, sizeof(header));
    g_byte_array_append(notes, (const uint8_t *)name, 8);
    g_byte_array_append(notes, desc, len);
}

void core_file_add_vcpu(CoreFile *core, const uint8_t *registers)
{
    const CoreTarget *target = &core_target;
    g_autofree uint8_t *prstatus = g_malloc0(target->prstatus_bytes);

    core->num_vcpus++;
    store_le32(prstatus + PID_AT, core->num_vcpus);
    for (size_t i = 0; i < target->num_registers; i++) {
        if (target->registers[i]) {
            store_le64(prstatus + target->registers_at + i * sizeof(uint64_t),
                       register_value(target->registers[i], registers));
        }
    }
    add_note(core->notes, "CORE\0\0\0", NT_PRSTATUS, prstatus, target->prstatus_bytes);
}

void core_file_add_system(CoreFile *core, const uint8_t *data, uint32_t len)
{
    add_note(core->system, "QEMU\0\0\0", /* type= */ 0, data, len);
}

/* ---- its head ---- */

static void fill_header(Elf64_Ehdr *header, size_t num_segments)
{
    *header = (Elf64_Ehdr){
        .e_type = GUINT16_TO_LE(ET_CORE),
        .e_machine = GUINT16_TO_LE(core_target.machine),
        .e_version = GUINT32_TO_LE(EV_CURRENT),
        .e_phoff = GUINT64_TO_LE(sizeof(Elf64_Ehdr)),
        .e_ehsize = GUINT16_TO_LE(sizeof(Elf64_Ehdr)),
        .e_phentsize = GUINT16_TO_LE(sizeof(Elf64_Phdr)),
        .e_phnum = GUINT16_TO_LE((uint16_t)num_segments),
    };
    memcpy(header->e_ident, ELFMAG, SELFMAG);
    header->e_ident[EI_CLASS] = ELFCLASS64;
    header->e_ident[EI_DATA] = ELFDATA2LSB;
    header->e_ident[EI_VERSION] = EV_CURRENT;
}

/*
 * A debugger that knows nothing of the guest's tables looks at RAM by its physical addresses: with
 * other virtual ones, such as 0 for all, one range would hide the next.
 */
static Elf64_Phdr load_segment(const CoreRange *range, uint64_t offset)
{
    uint64_t gpa = range->block->base.v + range->offset;

    return (Elf64_Phdr){
        .p_type = GUINT32_TO_LE(PT_LOAD),
        .p_offset = GUINT64_TO_LE(offset),
        .p_vaddr = GUINT64_TO_LE(gpa),
        .p_paddr = GUINT64_TO_LE(gpa),
        .p_filesz = GUINT64_TO_LE(range->len),
        .p_memsz = GUINT64_TO_LE(range->len),
    };
}

/* Everything before RAM, which begins at a page so that whole pages can be holes of the file. */
static GByteArray *make_head(const CoreFile *core)
{
    size_t num_segments = 1 + core->ranges->len;
    uint64_t notes_at = sizeof(Elf64_Ehdr) + num_segments * sizeof(Elf64_Phdr);
    uint64_t notes_bytes = (uint64_t)core->notes->len + core->system->len;
    uint64_t ram_at = align_up(notes_at + notes_bytes, PAGE_BYTES);
    GByteArray *head = g_byte_array_new();
    Elf64_Ehdr header;
    Elf64_Phdr segment = {
        .p_type = GUINT32_TO_LE(PT_NOTE),
        .p_offset = GUINT64_TO_LE(notes_at),
        .p_filesz = GUINT64_TO_LE(notes_bytes),
        .p_memsz = GUINT64_TO_LE(notes_bytes),
    };
    guint filled;

    fill_header(&header, num_segments);
    g_byte_array_append(head, (const uint8_t *)&header, sizeof(header));
    g_byte_array_append(head, (const uint8_t *)&segment, sizeof(segment));
    for (guint i = 0; i < core->ranges->len; i++) {
        const CoreRange *range = &g_array_index(core->ranges, CoreRange, i);

        segment = load_segment(range, ram_at);
        g_byte_array_append(head, (const uint8_t *)&segment, sizeof(segment));
        ram_at += range->len;
    }
    g_byte_array_append(head, core->notes->data, core->notes->len);
    g_byte_array_append(head, core->system->data, core->system->len);
    filled = head->len;
    g_byte_array_set_size(head, (guint)align_up(filled, PAGE_BYTES));
    memset(head->data + filled, 0, head->len - filled);
    return head;
}

/* ---- writing ---- */

typedef struct Writer {
    const CoreSink *sink;
    const PageMap *pages;
    atomic_uint_fast64_t *done;
} Writer;

/* Part of a backend, from page base on; only [start, end) of it is wanted. */
typedef struct Window {
    const RamBackend *backend;
    uint64_t base;
    uint64_t start;
    uint64_t end;
    uint64_t bits[PAGE_BITS_WORDS(WINDOW_PAGES)]; /* pages that may hold something */
} Window;

static bool holds_data(const Window *window, uint64_t page)
{
    return (window->bits[page / 64] >> (page % 64) & 1) != 0 &&
           !page_is_zero(window->backend->hva + window->base + page * PAGE_BYTES, PAGE_BYTES);
}

static bool write_part(const Writer *writer, const Window *window, uint64_t start, uint64_t end,
                       bool data, GError **error)
{
    const CoreSink *sink = writer->sink;
    bool ok = data ? sink->write(sink->opaque, window->backend->hva + start, end - start, error)
                   : sink->skip(sink->opaque, end - start, error);

    if (ok) {
        atomic_fetch_add(writer->done, end - start);
    }
    return ok;
}

static bool write_window(const Writer *writer, Window *window, GError **error)
{
    uint64_t pages = (align_up(window->end, PAGE_BYTES) - window->base) / PAGE_BYTES;
    uint64_t past;

    ram_backend_find_data(window->backend, writer->pages, window->base, pages * PAGE_BYTES,
                          window->bits);
    for (uint64_t first = 0; first < pages; first = past) {
        bool data = holds_data(window, first);

        for (past = first + 1; past < pages && holds_data(window, past) == data;) {
            past++;
        }
        if (!write_part(writer, window, MAX(window->start, window->base + first * PAGE_BYTES),
                        MIN(window->end, window->base + past * PAGE_BYTES), data, error)) {
            return false;
        }
    }
    return true;
}

/* RAM that came from a template which broke meanwhile is not what it should be. */
static bool check_backend(const RamBackend *backend, GError **error)
{
    return !backend->lazy || ram_lazy_check(backend->lazy, error);
}

static bool write_range(const Writer *writer, const CoreRange *range, GError **error)
{
    uint64_t at = range->block->backend_offset + range->offset;
    uint64_t end = at + range->len;

    while (at < end) {
        uint64_t base = align_down(at, PAGE_BYTES);
        Window window = {
            .backend = range->block->backend,
            .base = base,
            .start = at,
            .end = MIN(end, base + WINDOW_BYTES),
        };

        if (!write_window(writer, &window, error)) {
            return false;
        }
        at = window.end;
    }
    return check_backend(range->block->backend, error);
}

bool core_file_write(const CoreFile *core, const CoreSink *sink, atomic_uint_fast64_t *done,
                     GError **error)
{
    g_autoptr(PageMap) pages = page_map_new(PAGE_MAP_BEST);
    g_autoptr(GByteArray) head = make_head(core);
    const Writer writer = {.sink = sink, .pages = pages, .done = done};

    if (!sink->write(sink->opaque, head->data, head->len, error)) {
        return false;
    }
    for (guint i = 0; i < core->ranges->len; i++) {
        if (!write_range(&writer, &g_array_index(core->ranges, CoreRange, i), error)) {
            return false;
        }
    }
    return true;
}
