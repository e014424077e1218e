/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host memory holds: where there is anything but zeroes, and how zeroes come back.
 *
 *     private anonymous    pages that the process has, and those of files mapped over it
 *     private, of a file   pages that the process has, and those of the file
 *     shared               pages of the file; whether the process has them says nothing
 *
 * Files are asked for their extents.  hugetlbfs cannot tell those, and reading a huge page through
 * the mapping would allocate it; but read() of its file does not.
 */
#include "hypervisor/ram_backend.h"
#include "hypervisor/ram_image.h"
#include "hypervisor/ram_lazy.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* What the host should know about a mapping; it forgets when something is mapped over it. */
static void keep_from_core(const RamBackend *backend, uint64_t offset, uint64_t len)
{
    if (backend->exclude_from_core) {
        madvise(backend->hva + offset, len, MADV_DONTDUMP);
    }
}

/* --- overlays --- */

bool ram_backend_overlay(RamBackend *backend, uint64_t offset, const FilePart *file, GError **error)
{
    uint64_t end = file->offset + file->len;
    RamOverlay overlay = {.offset = offset, .len = file->len, .fd_offset = file->offset};
    struct stat st;

    /* A page of a mapping that the file does not have would be a SIGBUS later. */
    if (fstat(file->fd, &st) < 0) {
        return fail_errno(error, errno, "%s", file->name);
    }
    if ((uint64_t)st.st_size < end) {
        return fail(error, VMM_ERROR_WIRE, "%s: ends at %jd, %" PRIu64 " bytes early", file->name,
                    (intmax_t)st.st_size, end - (uint64_t)st.st_size);
    }

    void *at = mmap(backend->hva + offset, file->len, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file->fd, (off_t)file->offset);

    if (at == MAP_FAILED) {
        return fail_errno(error, errno, "%s: map %" PRIu64 " bytes at %" PRIu64, file->name,
                          file->len, file->offset);
    }
    keep_from_core(backend, offset, file->len);
    overlay.fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    if (overlay.fd < 0) {
        return fail_errno(error, errno, "%s: duplicate the descriptor", file->name);
    }
    g_array_append_val(backend->overlays, overlay);
    return true;
}

/* --- finding --- */

#define PROBE_BYTES (64 * KIB)

/* By reading the file, for one that cannot tell its extents. */
static void probe_file(const RamBackend *backend, uint64_t offset, uint64_t len, uint64_t *bits)
{
    g_autofree uint8_t *buffer = g_malloc(PROBE_BYTES);

    for (uint64_t at = 0; at < len; at += PROBE_BYTES) {
        uint64_t n = MIN(PROBE_BYTES, len - at);
        bool read = fd_pread_all(backend->fd, backend->id, buffer, n,
                                 backend->fd_offset + offset + at, NULL);

        for (uint64_t page = 0; page < n; page += PAGE_BYTES) {
            if (!read || !page_is_zero(buffer + page, PAGE_BYTES)) {
                page_bits_set(bits, (at + page) / PAGE_BYTES, 1);
            }
        }
    }
}

static void find_in_file(const RamBackend *backend, uint64_t offset, uint64_t len, uint64_t *bits)
{
    if (backend->page_size != PAGE_BYTES) {
        probe_file(backend, offset, len, bits);
    } else {
        page_map_find_file_data(backend->fd, backend->fd_offset + offset, len, bits);
    }
}

static void find_in_overlay(const RamOverlay *overlay, uint64_t offset, uint64_t len,
                            uint64_t *bits)
{
    uint64_t start = MAX(offset, overlay->offset);
    uint64_t end = MIN(offset + len, overlay->offset + overlay->len);

    if (start < end) {
        g_autofree uint64_t *part = g_new0(uint64_t, PAGE_BITS_WORDS((end - start) / PAGE_BYTES));
        uint64_t first = 0;
        uint64_t count = 0;

        page_map_find_file_data(overlay->fd, overlay->fd_offset + (start - overlay->offset),
                                end - start, part);
        while (
            page_bits_next_run(part, first + count, (end - start) / PAGE_BYTES, &first, &count)) {
            page_bits_set(bits, (start - offset) / PAGE_BYTES + first, count);
        }
    }
}

void ram_backend_find_data(const RamBackend *backend, const PageMap *map, uint64_t offset,
                           uint64_t len, uint64_t *bits)
{
    if (backend->lazy) {
        ram_lazy_find_data(backend->lazy, offset, len, bits);
    }
    if (backend->fd < 0 || !backend->shared) {
        page_map_find_present(map, backend->hva + offset, len, bits);
    }
    if (backend->fd >= 0) {
        find_in_file(backend, offset, len, bits);
    }
    for (guint i = 0; i < backend->overlays->len; i++) {
        find_in_overlay(&g_array_index(backend->overlays, RamOverlay, i), offset, len, bits);
    }
}

/* --- zeroes --- */

/* Smaller pieces of a mapped file are overwritten: a mapping each would run into a limit. */
#define REMAP_MIN_BYTES (2 * MIB)

static bool in_overlay(const RamBackend *backend, uint64_t offset, uint64_t len)
{
    for (guint i = 0; i < backend->overlays->len; i++) {
        const RamOverlay *overlay = &g_array_index(backend->overlays, RamOverlay, i);

        if (offset < overlay->offset + overlay->len && overlay->offset < offset + len) {
            return true;
        }
    }
    return false;
}

static bool remap_anonymous(const RamBackend *backend, uint64_t offset, uint64_t len,
                            GError **error)
{
    if (mmap(backend->hva + offset, len, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
        return fail_errno(error, errno, "clear %" PRIu64 " bytes", len);
    }
    keep_from_core(backend, offset, len);
    return true;
}

static bool zap(const RamBackend *backend, uint64_t offset, uint64_t len)
{
    if (backend->fd < 0) {
        return !in_overlay(backend, offset, len) &&
               madvise(backend->hva + offset, len, MADV_DONTNEED) == 0;
    }
    return backend->shared && is_aligned(offset | len, backend->page_size) &&
           fallocate(backend->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t)(backend->fd_offset + offset), (off_t)len) == 0;
}

/* Gives the pages back; false if this kind of memory would then show something else than zeroes. */
static bool give_back(const RamBackend *backend, uint64_t offset, uint64_t len)
{
    return backend->lazy ? ram_lazy_discard(backend->lazy, offset, len, zap)
                         : zap(backend, offset, len);
}

bool ram_backend_discard(const RamBackend *backend, uint64_t offset, uint64_t len, GError **error)
{
    if (give_back(backend, offset, len)) {
        return true;
    }
    if (backend->fd < 0 && !backend->lazy && len >= REMAP_MIN_BYTES) {
        return remap_anonymous(backend, offset, len, error) && ram_backend_bind(backend, error);
    }
    memset(backend->hva + offset, 0, len);
    return true;
}

/* What the process's other threads may have to wait for, if one of them maps something. */
#define EMPTY_SLICE_BYTES (16 * MIB)

void ram_backend_empty(const RamBackend *backend)
{
    uint64_t len = align_up(backend->size, backend->page_size);
    uint64_t slice = MAX(EMPTY_SLICE_BYTES, backend->page_size);

    for (uint64_t at = 0; at < len; at += slice) {
        uint64_t n = MIN(slice, len - at);

        if (backend->fd < 0) {
            /* Where it cannot be, or a file shows through, the fresh mapping will see to it. */
            madvise(backend->hva + at, n, MADV_DONTNEED);
        } else if (!give_back(backend, at, n)) {
            memset(backend->hva + at, 0, n);
        }
    }
}

bool ram_backend_renew(RamBackend *backend, GError **error)
{
    uint64_t len = align_up(backend->size, backend->page_size);

    g_clear_pointer(&backend->lazy, ram_lazy_free); /* none of it comes any more */
    if (backend->fd >= 0) {
        return true;
    }
    /* A fresh mapping rather than MADV_DONTNEED alone: parts of the old one may show a file. */
    if (!remap_anonymous(backend, 0, len, error)) {
        return false;
    }
    g_array_set_size(backend->overlays, 0);
    ram_backend_advise(backend);
    return ram_backend_bind(backend, error);
}

bool ram_backend_clear(RamBackend *backend, GError **error)
{
    ram_backend_empty(backend);
    return ram_backend_renew(backend, error);
}
