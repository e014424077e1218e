/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reserving guest RAM costs the same at any size: nothing is touched unless prealloc asks for it.
 *
 * The mapping starts on a 2 MiB border so that the host can use huge pages for it, and its first
 * 2 MiB are kept out of that: a boot writes a few small tables there, and should not pay for a
 * whole huge page to be cleared before its first instruction.
 */
#include "hypervisor/ram_backend.h"

#include "hypervisor/ram_image.h"
#include "hypervisor/ram_lazy.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES      (2 * MIB)
#define MAX_PREALLOC_THREADS 16
#define HUGETLBFS_MAGIC      0x958458f6
#define MEMFD_HUGE_SHIFT     26 /* MFD_HUGE_SHIFT of linux/memfd.h */

static void overlay_clear(void *opaque)
{
    RamOverlay *overlay = opaque;

    fd_close(&overlay->fd);
}

void ram_backend_free(RamBackend *backend)
{
    if (!backend) {
        return;
    }
    ram_lazy_free(backend->lazy);
    if (backend->hva) {
        munmap(backend->hva, align_up(backend->size, backend->page_size));
    }
    g_array_unref(backend->overlays);
    fd_close(&backend->fd);
    g_free(backend->id);
    g_free(backend);
}

static bool open_memfd(RamBackend *backend, const RamBackendConfig *config, GError **error)
{
    unsigned flags = MFD_CLOEXEC;

    if (config->huge_page_size != 0) {
        if (!is_power_of_two(config->huge_page_size)) {
            return fail(error, VMM_ERROR_CONFIG, "hugetlbsize %" PRIu64 " is not a power of two",
                        config->huge_page_size);
        }
        flags |= MFD_HUGETLB | (unsigned)__builtin_ctzll(config->huge_page_size)
                                   << MEMFD_HUGE_SHIFT;
        backend->page_size = config->huge_page_size;
    }
    backend->fd = memfd_create(config->id, flags);
    if (backend->fd < 0) {
        return fail_errno(error, errno, "memfd with pages of %" PRIu64 " bytes",
                          backend->page_size);
    }
    if (ftruncate(backend->fd, (off_t)align_up(config->size, backend->page_size)) < 0) {
        return fail_errno(error, errno, "memfd of %" PRIu64 " bytes", config->size);
    }
    return true;
}

/* A directory (a hugetlbfs mount, say) gets a nameless file in it. */
static int open_in_directory(const char *path, GError **error)
{
    g_autofree char *name = g_build_filename(path, "stencil-ram-XXXXXX", NULL);
    auto_fd int fd = mkostemp(name, O_CLOEXEC);

    if (fd < 0) {
        fail_errno(error, errno, "cannot create a file in '%s'", path);
        return -1;
    }
    unlink(name);
    return fd_steal(&fd);
}

static bool size_file(const RamBackend *backend, const RamBackendConfig *config, off_t file_size,
                      GError **error)
{
    uint64_t need;

    if (!checked_add(config->offset, config->size, &need)) {
        return fail(error, VMM_ERROR_CONFIG, "'%s': offset %" PRIu64 " is out of range",
                    config->path, config->offset);
    }
    need = align_up(need, backend->page_size);
    if ((uint64_t)file_size >= need) {
        return true;
    }
    if (file_size != 0 || config->readonly) {
        return fail(error, VMM_ERROR_CONFIG,
                    "'%s' has %jd bytes, guest RAM needs %" PRIu64 " of it", config->path,
                    (intmax_t)file_size, need);
    }
    if (ftruncate(backend->fd, (off_t)need) < 0) {
        return fail_errno(error, errno, "'%s': set size %" PRIu64, config->path, need);
    }
    return true;
}

static bool open_file(RamBackend *backend, const RamBackendConfig *config, GError **error)
{
    int flags = config->readonly ? O_RDONLY : O_RDWR | O_CREAT;
    struct stat st;
    struct statfs fs;

    if (stat(config->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        backend->fd = open_in_directory(config->path, error);
    } else {
        backend->fd = fd_sets_open(config->fd_sets, config->path, flags, 0600, error);
        backend->has_name = true;
    }
    if (backend->fd < 0) {
        return false;
    }
    if (fstat(backend->fd, &st) < 0 || fstatfs(backend->fd, &fs) < 0) {
        return fail_errno(error, errno, "'%s'", config->path);
    }
    if (fs.f_type == HUGETLBFS_MAGIC) {
        backend->page_size = (uint64_t)fs.f_bsize;
    }
    if (!is_aligned(config->offset, backend->page_size)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "'%s': offset %" PRIu64 " is not a multiple of the page size %" PRIu64,
                    config->path, config->offset, backend->page_size);
    }
    if (S_ISREG(st.st_mode) && !size_file(backend, config, st.st_size, error)) {
        return false;
    }
    backend->fd_offset = config->offset;
    return true;
}

/* Address space first, so that the mapping can start on a huge page border. */
static void *reserve_aligned(uint64_t len, uint64_t align)
{
    uint8_t *raw =
        mmap(NULL, len + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (raw == MAP_FAILED) {
        return NULL;
    }

    uint64_t head = align_up((uintptr_t)raw, align) - (uintptr_t)raw;

    if (head > 0) {
        munmap(raw, head);
    }
    if (align - head > 0) {
        munmap(raw + head + len, align - head);
    }
    return raw + head;
}

void ram_backend_advise(const RamBackend *backend)
{
    uint64_t len = align_up(backend->size, backend->page_size);

    /* See the top of the file for the part that is left out. */
    if (backend->fd < 0 && len > HUGE_PAGE_BYTES) {
        madvise(backend->hva + HUGE_PAGE_BYTES, len - HUGE_PAGE_BYTES, MADV_HUGEPAGE);
    }
    if (backend->exclude_from_core) {
        madvise(backend->hva, len, MADV_DONTDUMP);
    }
}

static bool map_backend(RamBackend *backend, const RamBackendConfig *config, GError **error)
{
    uint64_t len = align_up(backend->size, backend->page_size);
    uint8_t *at = reserve_aligned(len, MAX(backend->page_size, HUGE_PAGE_BYTES));
    int prot = PROT_READ | (config->readonly && config->shared ? 0 : PROT_WRITE);
    /* Huge pages are reserved: a guest that finds none left when it touches its RAM is lost. */
    int flags = MAP_FIXED | (backend->page_size > PAGE_BYTES ? 0 : MAP_NORESERVE);

    if (!at) {
        return fail_errno(error, errno, "reserve %" PRIu64 " bytes of address space", len);
    }
    flags |= backend->shared ? MAP_SHARED : MAP_PRIVATE;
    if (backend->fd < 0) {
        flags |= MAP_ANONYMOUS;
    }
    if (mmap(at, len, prot, flags, backend->fd, (off_t)backend->fd_offset) == MAP_FAILED) {
        int err = errno;

        munmap(at, len);
        return fail_errno(error, err, "map %" PRIu64 " bytes", len);
    }
    backend->hva = at;
    ram_backend_advise(backend);
    return true;
}

static bool check_policy(const RamBackendConfig *config, GError **error)
{
    bool wants_nodes = config->policy != RAM_POLICY_DEFAULT;

    if (wants_nodes == (config->host_nodes != 0)) {
        return true;
    }
    return fail(error, VMM_ERROR_CONFIG, "%s",
                wants_nodes ? "policy needs host-nodes"
                            : "host-nodes needs a policy other than 'default'");
}

bool ram_backend_bind(const RamBackend *backend, GError **error)
{
    static const int modes[] = {
        [RAM_POLICY_DEFAULT] = MPOL_DEFAULT,
        [RAM_POLICY_PREFERRED] = MPOL_PREFERRED,
        [RAM_POLICY_BIND] = MPOL_BIND,
        [RAM_POLICY_INTERLEAVE] = MPOL_INTERLEAVE,
    };
    unsigned long nodes = backend->host_nodes;

    if (backend->policy == RAM_POLICY_DEFAULT) {
        return true;
    }
    if (syscall(SYS_mbind, backend->hva, backend->size, modes[backend->policy], &nodes,
                sizeof(nodes) * 8 + 1, MPOL_MF_STRICT | MPOL_MF_MOVE) < 0) {
        return fail_errno(error, errno, "bind to host nodes 0x%lx", nodes);
    }
    return true;
}

typedef struct PreallocPart {
    uint8_t *hva;
    uint64_t len;
    int err;
    GThread *thread;
} PreallocPart;

static void *prealloc_part(void *opaque)
{
    PreallocPart *part = opaque;

    part->err = madvise(part->hva, part->len, MADV_POPULATE_WRITE) < 0 ? errno : 0;
    return NULL;
}

static bool prealloc(const RamBackend *backend, const RamBackendConfig *config, GError **error)
{
    uint64_t len = align_up(backend->size, backend->page_size);
    unsigned threads = config->prealloc_threads != 0
                           ? config->prealloc_threads
                           : MIN(g_get_num_processors(), MAX_PREALLOC_THREADS);
    uint64_t step = align_up(len / threads + 1, MAX(backend->page_size, HUGE_PAGE_BYTES));
    unsigned parts = (unsigned)((len + step - 1) / step);
    g_autofree PreallocPart *part = g_new0(PreallocPart, parts);
    int err = 0;

    if (backend->lazy) {
        ram_lazy_wait(backend->lazy); /* then only holes are left, for which nobody need be asked */
    }
    for (unsigned i = 0; i < parts; i++) {
        part[i].hva = backend->hva + i * step;
        part[i].len = MIN(step, len - i * step);
        part[i].thread = thread_start(THREAD_PREALLOC, "prealloc", prealloc_part, &part[i], NULL);
        if (!part[i].thread) {
            prealloc_part(&part[i]); /* the host has no thread left: then it takes longer */
        }
    }
    for (unsigned i = 0; i < parts; i++) {
        if (part[i].thread) {
            g_thread_join(part[i].thread);
        }
        err = part[i].err != 0 ? part[i].err : err;
    }
    return err == 0 || fail_errno(error, err, "preallocate %" PRIu64 " bytes", len);
}

static bool ram_backend_build(RamBackend *backend, const RamBackendConfig *config, GError **error)
{
    if (!check_policy(config, error)) {
        return false;
    }
    if (config->kind == RAM_FILE && !open_file(backend, config, error)) {
        return false;
    }
    if ((config->kind == RAM_MEMFD || (config->kind == RAM_ANONYMOUS && config->shared)) &&
        !open_memfd(backend, config, error)) {
        return false;
    }
    return map_backend(backend, config, error) && ram_image_map(backend, config->image, error) &&
           ram_backend_bind(backend, error) && ram_image_fill(backend, config->image, error) &&
           (!config->prealloc || prealloc(backend, config, error));
}

RamBackend *ram_backend_new(const RamBackendConfig *config, GError **error)
{
    g_autoptr(RamBackend) backend = g_new0(RamBackend, 1);

    backend->id = g_strdup(config->id);
    backend->size = config->size;
    backend->page_size = PAGE_BYTES;
    backend->fd = -1;
    backend->shared = config->shared;
    backend->rom = config->rom;
    backend->readonly = config->readonly;
    backend->prealloc = config->prealloc;
    backend->overlays =
        g_array_new(/* zero_terminated= */ FALSE, /* clear= */ FALSE, sizeof(RamOverlay));
    g_array_set_clear_func(backend->overlays, overlay_clear);
    backend->exclude_from_core = config->exclude_from_core;
    backend->policy = config->policy;
    backend->host_nodes = config->host_nodes;
    if (config->size == 0 || !is_aligned(config->size, PAGE_BYTES)) {
        return fail_null(error, VMM_ERROR_CONFIG,
                         "memory %s: size %" PRIu64 " is not a whole number of 4 KiB pages",
                         config->id, config->size);
    }
    if (!ram_backend_build(backend, config, error)) {
        g_prefix_error(error, "memory %s: ", config->id);
        return NULL;
    }
    return g_steal_pointer(&backend);
}
