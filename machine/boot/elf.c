/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/elf.h"

#include "util/bytes.h"
#include "util/error.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#define MAX_PROGRAM_HEADERS 128
#define MAX_NOTE_BYTES      MIB
#define PVH_OWNER           "Xen"
#define PVH_ENTRY_NOTE      18 /* XEN_ELFNOTE_PHYS32_ENTRY */

typedef struct ElfImage {
    const BootImage *file;
    Elf64_Ehdr header;
    Elf64_Phdr segments[MAX_PROGRAM_HEADERS];
} ElfImage;

/* Fields of the header that have one right value. */
static const struct {
    const char *name;
    size_t offset;
    unsigned size;
    uint64_t expected;
    const char *meaning;
} header_rules[] = {
    {"EI_CLASS", EI_CLASS, 1, ELFCLASS64, "64-bit"},
    {"EI_DATA", EI_DATA, 1, ELFDATA2LSB, "little-endian"},
    {"EI_VERSION", EI_VERSION, 1, EV_CURRENT, "current"},
    {"e_type", offsetof(Elf64_Ehdr, e_type), 2, ET_EXEC, "executable"},
    {"e_machine", offsetof(Elf64_Ehdr, e_machine), 2, EM_X86_64, "x86-64"},
    {"e_version", offsetof(Elf64_Ehdr, e_version), 4, EV_CURRENT, "current"},
    {"e_ehsize", offsetof(Elf64_Ehdr, e_ehsize), 2, sizeof(Elf64_Ehdr), "an ELF64 header"},
    {"e_phentsize", offsetof(Elf64_Ehdr, e_phentsize), 2, sizeof(Elf64_Phdr),
     "an ELF64 program header"},
};

static bool elf_matches(const BootImage *image)
{
    return image->head_len >= SELFMAG && memcmp(image->head, ELFMAG, SELFMAG) == 0;
}

static bool read_headers(ElfImage *elf, GError **error)
{
    const BootImage *file = elf->file;

    if (!boot_image_read(file, "ELF header", 0, &elf->header, sizeof(elf->header), error)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(header_rules); i++) {
        uint64_t value = load_le(file->head + header_rules[i].offset, header_rules[i].size);

        if (value != header_rules[i].expected) {
            return fail(error, VMM_ERROR_WIRE,
                        "%s: ELF header: %s is %" PRIu64 ", expected %" PRIu64 " (%s)", file->name,
                        header_rules[i].name, value, header_rules[i].expected,
                        header_rules[i].meaning);
        }
    }
    if (elf->header.e_phnum == 0 || elf->header.e_phnum > MAX_PROGRAM_HEADERS) {
        return fail(error, VMM_ERROR_WIRE, "%s: ELF header: e_phnum is %u, expected 1 to %d",
                    file->name, elf->header.e_phnum, MAX_PROGRAM_HEADERS);
    }
    return boot_image_read(file, "ELF program headers", elf->header.e_phoff, elf->segments,
                           elf->header.e_phnum * sizeof(Elf64_Phdr), error);
}

/* Segments that take guest memory. */
static bool is_loaded(const Elf64_Phdr *segment)
{
    return segment->p_type == PT_LOAD && segment->p_memsz > 0;
}

static bool check_overlap(const ElfImage *elf, unsigned index, GError **error)
{
    const Elf64_Phdr *segment = &elf->segments[index];

    for (unsigned i = 0; i < index; i++) {
        const Elf64_Phdr *other = &elf->segments[i];

        if (is_loaded(other) && segment->p_paddr < other->p_paddr + other->p_memsz &&
            other->p_paddr < segment->p_paddr + segment->p_memsz) {
            return fail(error, VMM_ERROR_WIRE,
                        "%s: ELF segments %u and %u overlap at guest address 0x%" PRIx64,
                        elf->file->name, i, index, MAX(segment->p_paddr, other->p_paddr));
        }
    }
    return true;
}

static bool check_segment(const ElfImage *elf, unsigned index, const GuestMemory *mem,
                          GError **error)
{
    const Elf64_Phdr *segment = &elf->segments[index];
    const BootImage *file = elf->file;
    char what[32];

    if (segment->p_filesz > segment->p_memsz) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: ELF segment %u: p_filesz is 0x%" PRIx64
                    ", expected at most p_memsz, 0x%" PRIx64,
                    file->name, index, segment->p_filesz, segment->p_memsz);
    }
    if (!range_fits(segment->p_offset, segment->p_filesz, file->size)) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: truncated: ELF segment %u takes 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                    ", the file has 0x%" PRIx64,
                    file->name, index, segment->p_filesz, segment->p_offset, file->size);
    }
    g_snprintf(what, sizeof(what), "ELF segment %u", index);
    return boot_check_range(file, what, mem, segment->p_paddr, segment->p_memsz, error) &&
           check_overlap(elf, index, error);
}

static bool check_segments(const ElfImage *elf, const GuestMemory *mem, LoadedKernel *kernel,
                           GError **error)
{
    kernel->start = UINT64_MAX;
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];

        if (!is_loaded(segment)) {
            continue;
        }
        if (!check_segment(elf, i, mem, error)) {
            return false;
        }
        kernel->start = MIN(kernel->start, segment->p_paddr);
        kernel->end = MAX(kernel->end, segment->p_paddr + segment->p_memsz);
    }
    if (kernel->end == 0) {
        return fail(error, VMM_ERROR_WIRE, "%s: ELF image without a segment to load",
                    elf->file->name);
    }
    return true;
}

/*
 * Looks through a table of notes for the PVH entry.  Each is three words (length of the owner's
 * name, length of the value, type), the name and the value, both filled up to align.
 */
static bool find_note(const uint8_t *notes, uint64_t len, uint64_t align, const uint8_t **ret_value,
                      uint32_t *ret_value_len)
{
    uint64_t at = 0;

    while (range_fits(at, sizeof(Elf64_Nhdr), len)) {
        const uint8_t *note = notes + at;
        uint32_t name_len = load_le32(note);
        uint32_t value_len = load_le32(note + 4);
        uint64_t name_at = at + sizeof(Elf64_Nhdr);
        uint64_t value_at = align_up(name_at + name_len, align);

        if (!range_fits(name_at, name_len, len) || !range_fits(value_at, value_len, len)) {
            return false;
        }
        if (load_le32(note + 8) == PVH_ENTRY_NOTE && name_len == sizeof(PVH_OWNER) &&
            memcmp(notes + name_at, PVH_OWNER, sizeof(PVH_OWNER)) == 0) {
            *ret_value = notes + value_at;
            *ret_value_len = value_len;
            return true;
        }
        at = align_up(value_at + value_len, align);
    }
    return false;
}

/* Sets ret_entry if segment, a table of notes, has the PVH note; leaves it alone otherwise. */
static bool read_pvh_note(const ElfImage *elf, const Elf64_Phdr *segment, bool *ret_has_note,
                          uint64_t *ret_entry, GError **error)
{
    if (segment->p_filesz > MAX_NOTE_BYTES) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: ELF notes take %" PRIu64 " bytes, expected at most %" PRIu64,
                    elf->file->name, segment->p_filesz, MAX_NOTE_BYTES);
    }

    g_autofree uint8_t *notes = g_malloc(segment->p_filesz + 1);
    const uint8_t *value;
    uint32_t value_len;

    if (!boot_image_read(elf->file, "table of ELF notes", segment->p_offset, notes,
                         segment->p_filesz, error)) {
        return false;
    }
    if (!find_note(notes, segment->p_filesz, segment->p_align == 8 ? 8 : 4, &value, &value_len)) {
        return true;
    }
    if (value_len != 4 && value_len != 8) {
        return fail(error, VMM_ERROR_WIRE, "%s: PVH note has %u bytes, expected 4 or 8",
                    elf->file->name, value_len);
    }
    *ret_has_note = true;
    *ret_entry = load_le(value, value_len);
    return true;
}

/* The entry must be code that the file brought, not bss and not somebody else's memory. */
static bool check_entry(const ElfImage *elf, const char *what, uint64_t entry, GError **error)
{
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];

        if (is_loaded(segment) && entry >= segment->p_paddr &&
            entry - segment->p_paddr < segment->p_filesz) {
            return true;
        }
    }
    return fail(error, VMM_ERROR_WIRE, "%s: %s is 0x%" PRIx64 ", which no segment is loaded to",
                elf->file->name, what, entry);
}

static bool find_entry(const ElfImage *elf, LoadedKernel *kernel, GError **error)
{
    bool has_note = false;

    kernel->mode = VCPU_ENTRY_LONG64;
    kernel->entry = elf->header.e_entry;
    for (unsigned i = 0; i < elf->header.e_phnum && !has_note; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];

        if (segment->p_type == PT_NOTE &&
            !read_pvh_note(elf, segment, &has_note, &kernel->entry, error)) {
            return false;
        }
    }
    if (!has_note) {
        return check_entry(elf, "ELF header: e_entry", kernel->entry, error);
    }
    kernel->mode = VCPU_ENTRY_PVH;
    if (kernel->entry > UINT32_MAX) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: PVH entry is 0x%" PRIx64 ", expected an address of 32 bits",
                    elf->file->name, kernel->entry);
    }
    return check_entry(elf, "PVH entry", kernel->entry, error);
}

static bool load_segments(const ElfImage *elf, GuestMemory *mem, GError **error)
{
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];

        if (is_loaded(segment) && !boot_image_load(elf->file, segment->p_offset, segment->p_filesz,
                                                   mem, GPA(segment->p_paddr), error)) {
            return false;
        }
    }
    return true;
}

static bool elf_load(const BootImage *image, GuestMemory *mem, LoadedKernel *ret_kernel,
                     GError **error)
{
    ElfImage elf = {.file = image};

    if (!read_headers(&elf, error) || !check_segments(&elf, mem, ret_kernel, error) ||
        !find_entry(&elf, ret_kernel, error)) {
        return false;
    }
    ret_kernel->initrd_limit = boot_ram_end(mem);
    ret_kernel->cmdline_max = BOOT_CMDLINE_LINUX;
    return load_segments(&elf, mem, error);
}

const KernelLoader elf_loader = {
    .name = "ELF",
    .matches = elf_matches,
    .load = elf_load,
};
