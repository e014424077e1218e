/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM without copying: a template is mapped whole, a kernel segment by segment over anonymous
 * memory.  Either way the guest's own writes stay private to this process.
 */
#include "bench/floor/floor.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATE_ENTRY 0x100000u
#define PVH_NOTE_TYPE  18
#define PAGE_BYTES     4096u

#define RAM_PROT       (PROT_READ | PROT_WRITE)

bool image_map_template(const Options *options, uint8_t **ret_ram, uint32_t *ret_entry)
{
    int fd = open(options->template_path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    void *ram;

    if (fd < 0 || fstat(fd, &status) < 0 || (uint64_t)status.st_size < options->memory_bytes) {
        return floor_fail(options->template_path);
    }
    ram = mmap(NULL, options->memory_bytes, RAM_PROT, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    close(fd);
    if (ram == MAP_FAILED) {
        return floor_fail("map the template");
    }
    *ret_ram = ram;
    *ret_entry = TEMPLATE_ENTRY;
    return true;
}

/* The head of the file holds everything but the segments themselves in any image that we make. */
typedef struct {
    int fd;
    uint8_t head[PAGE_BYTES];
    Elf64_Ehdr header;
} Elf;

static bool elf_open(const char *path, Elf *ret)
{
    ret->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (ret->fd < 0 || pread(ret->fd, ret->head, PAGE_BYTES, 0) < (ssize_t)sizeof(ret->header)) {
        return floor_fail(path);
    }
    memcpy(&ret->header, ret->head, sizeof(ret->header));
    errno = ENOEXEC;
    if (memcmp(ret->head, ELFMAG, SELFMAG) != 0 || ret->head[EI_CLASS] != ELFCLASS64 ||
        ret->header.e_phoff > PAGE_BYTES ||
        ret->header.e_phnum > (PAGE_BYTES - ret->header.e_phoff) / sizeof(Elf64_Phdr)) {
        return floor_fail(path);
    }
    return true;
}

static bool map_segment(const Elf *elf, const Elf64_Phdr *segment, uint8_t *ram, uint64_t bytes)
{
    uint64_t skew = segment->p_paddr % PAGE_BYTES;

    errno = ERANGE;
    if (segment->p_paddr > bytes || segment->p_memsz > bytes - segment->p_paddr ||
        segment->p_offset % PAGE_BYTES != skew || segment->p_filesz > segment->p_memsz) {
        return floor_fail("a segment that cannot be mapped");
    }
    return mmap(ram + segment->p_paddr - skew, segment->p_filesz + skew, RAM_PROT,
                MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, elf->fd,
                (off_t)(segment->p_offset - skew)) != MAP_FAILED ||
           floor_fail("map a segment");
}

static bool read_entry(const Elf *elf, const Elf64_Phdr *segment, uint32_t *ret_entry)
{
    struct {
        Elf64_Nhdr head;
        char name[4];
        uint32_t entry;
    } note;

    if (pread(elf->fd, &note, sizeof(note), (off_t)segment->p_offset) != sizeof(note) ||
        note.head.n_type != PVH_NOTE_TYPE) {
        errno = ENOEXEC;
        return floor_fail("the first note is not a PVH entry");
    }
    *ret_entry = note.entry;
    return true;
}

bool image_map_kernel(const Options *options, uint8_t **ret_ram, uint32_t *ret_entry)
{
    uint8_t *ram = mmap(NULL, options->memory_bytes, RAM_PROT,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    Elf elf;

    if (ram == MAP_FAILED || !elf_open(options->kernel_path, &elf)) {
        return ram == MAP_FAILED ? floor_fail("map RAM") : false;
    }
    for (unsigned i = 0; i < elf.header.e_phnum; i++) {
        Elf64_Phdr segment;

        memcpy(&segment, elf.head + elf.header.e_phoff + i * sizeof(segment), sizeof(segment));
        if ((segment.p_type == PT_LOAD && segment.p_filesz &&
             !map_segment(&elf, &segment, ram, options->memory_bytes)) ||
            (segment.p_type == PT_NOTE && !read_entry(&elf, &segment, ret_entry))) {
            return false;
        }
    }
    close(elf.fd);
    *ret_ram = ram;
    return true;
}
