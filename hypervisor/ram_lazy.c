/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/ram_lazy.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/lock.h"
#include "util/thread.h"
#include "util/userfault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * What comes in one go: around a page that somebody waits for, or while nobody does.  Measured on all
 * pages of 512 MiB in order and on a few at random, with a fault's data of 4, 16, 64 and 128 KiB:
 * 22, 10, 5 and 5 us a page, and 25, 47, 78 and 114 us a fault.  More than 64 KiB in the background
 * makes those wait who begin to meanwhile, and is slower besides: it does not stay in the cache.
 */
#define WINDOW_BYTES (64 * KIB)

struct RamLazy {
    /* fixed after ram_lazy_new */
    const RamBackend *backend;
    uint64_t len; /* of the memory: a whole number of its pages, which the image may not be */
    uint64_t page_size;
    char *name;     /* of the image */
    RamImage image; /* its descriptor is our own */
    bool has_zeroes;
    int stop_fd;
    int fault_fd;
    GThread *thread;

    /* thread only */
    uint64_t next; /* in front of it everything is filled */
    uint8_t *buffer;
    uint64_t *found;

    Mutex lock;
    Cond ended_cond;
    /* guarded by lock */
    uint64_t *settled; /* a bit per page: what the image has for it has come, or never will */
    bool ended;
    char *trouble;
};

/* ---- pages ---------------------------------------------------------------------------------- */

static bool page_is_settled_locked(const RamLazy *lazy, uint64_t page) REQUIRES(lazy->lock)
{
    return (lazy->settled[page / 64] >> page % 64 & 1) != 0;
}

/* A page that anybody cut off since would look like a hole. */
static bool check_image(const RamLazy *lazy, GError **error)
{
    const RamImage *image = &lazy->image;
    uint64_t end = image->offset + image->size;
    off_t size = lseek(image->fd, 0, SEEK_END); /* of its calls, the sandbox allows this one */

    if (size < 0) {
        return fail_errno(error, errno, "%s", image->name);
    }
    return (uint64_t)size >= end ||
           fail(error, VMM_ERROR_WIRE, "%s: ends at %jd, %" PRIu64 " bytes early", image->name,
                (intmax_t)size, end - (uint64_t)size);
}

/* How much of [offset, offset + len) of the memory the image covers. */
static uint64_t covered(const RamLazy *lazy, uint64_t offset, uint64_t len)
{
    return offset < lazy->image.size ? MIN(len, lazy->image.size - offset) : 0;
}

/* Whole pages. */
static bool place_run_locked(RamLazy *lazy, uint64_t offset, uint64_t len, GError **error)
    REQUIRES(lazy->lock)
{
    const RamImage *image = &lazy->image;
    uint64_t has = covered(lazy, offset, len);

    memset(lazy->buffer + has, 0, len - has);
    if (!fd_pread_all(image->fd, image->name, lazy->buffer, has, image->offset + offset, error) ||
        !userfault_copy(lazy->fault_fd, lazy->backend->hva + offset, lazy->buffer, len,
                        lazy->page_size, error)) {
        return false;
    }
    page_bits_set(lazy->settled, offset / lazy->page_size, len / lazy->page_size);
    return true;
}

static bool place_unsettled_locked(RamLazy *lazy, uint64_t offset, uint64_t len, GError **error)
    REQUIRES(lazy->lock)
{
    uint64_t page = offset / lazy->page_size;
    uint64_t end = (offset + len) / lazy->page_size;
    uint64_t past;

    for (; page < end; page = past + 1) {
        for (past = page; past < end && !page_is_settled_locked(lazy, past); past++) {
        }
        if (past > page && !place_run_locked(lazy, page * lazy->page_size,
                                             (past - page) * lazy->page_size, error)) {
            return false;
        }
    }
    return true;
}

/* What the image has for a window, which is small pages or one large page. */
static bool place_window_locked(RamLazy *lazy, uint64_t offset, uint64_t len, GError **error)
    REQUIRES(lazy->lock)
{
    uint64_t pages = len / PAGE_BYTES;
    uint64_t first = 0;
    uint64_t count = 0;

    memset(lazy->found, 0, PAGE_BITS_WORDS(pages) * sizeof(uint64_t));
    page_map_find_file_data(lazy->image.fd, lazy->image.offset + offset, covered(lazy, offset, len),
                            lazy->found);
    if (!check_image(lazy, error)) {
        return false;
    }
    if (lazy->page_size > PAGE_BYTES && page_bits_next_run(lazy->found, 0, pages, &first, &count)) {
        page_bits_set(lazy->found, 0, pages);
    }
    for (first = count = 0;
         page_bits_next_run(lazy->found, first + count, pages, &first, &count);) {
        if (!place_unsettled_locked(lazy, offset + first * PAGE_BYTES, count * PAGE_BYTES, error)) {
            return false;
        }
    }
    return true;
}

static bool place_zeroes(RamLazy *lazy, uint64_t offset, GError **error)
{
    uint8_t *at = lazy->backend->hva + offset;

    if (lazy->has_zeroes) {
        return userfault_zero(lazy->fault_fd, at, lazy->page_size, lazy->page_size, error);
    }
    memset(lazy->buffer, 0, lazy->page_size);
    return userfault_copy(lazy->fault_fd, at, lazy->buffer, lazy->page_size, lazy->page_size,
                          error);
}

/* ---- the thread ----------------------------------------------------------------------------- */

static uint64_t window_bytes(const RamLazy *lazy)
{
    return lazy->page_size > PAGE_BYTES ? lazy->page_size : WINDOW_BYTES;
}

/* A page that the image has nothing for, or that was thrown away since, is zeroes. */
static bool answer(RamLazy *lazy, uint64_t offset, GError **error)
{
    uint64_t page = offset / lazy->page_size;
    uint64_t step = window_bytes(lazy);
    uint64_t start = align_down(offset, step);
    bool ok;

    mutex_lock(&lazy->lock);

    bool settled = page_is_settled_locked(lazy, page);

    ok = (settled || place_window_locked(lazy, start, MIN(step, lazy->len - start), error)) &&
         ((!settled && page_is_settled_locked(lazy, page)) ||
          place_zeroes(lazy, page * lazy->page_size, error));
    mutex_unlock(&lazy->lock);
    return ok;
}

static bool answer_all(RamLazy *lazy, GError **error)
{
    uintptr_t address;

    while (userfault_read(lazy->fault_fd, &address)) {
        if (!answer(lazy, address - (uintptr_t)lazy->backend->hva, error)) {
            return false;
        }
    }
    return true;
}

/* Steps over holes of any size at once. */
static bool fill_next(RamLazy *lazy, GError **error)
{
    uint64_t step = window_bytes(lazy);
    off_t data = lseek(lazy->image.fd, (off_t)(lazy->image.offset + lazy->next), SEEK_DATA);
    bool ok;

    if (data < 0 && errno == ENXIO) {
        lazy->next = lazy->len;
    } else if (data > 0 && (uint64_t)data > lazy->image.offset + lazy->next) {
        lazy->next = MIN(align_down((uint64_t)data - lazy->image.offset, step), lazy->len);
    }
    if (lazy->next == lazy->len) {
        return check_image(lazy, error);
    }
    mutex_lock(&lazy->lock);
    ok = place_window_locked(lazy, lazy->next, MIN(step, lazy->len - lazy->next), error);
    mutex_unlock(&lazy->lock);
    lazy->next = MIN(lazy->next + step, lazy->len);
    return ok;
}

/* Whether there is anything left to do; not when it was told to stop. */
static bool serve(RamLazy *lazy, GError **error)
{
    struct pollfd fds[] = {
        {.fd = lazy->stop_fd, .events = POLLIN},
        {.fd = lazy->fault_fd, .events = POLLIN},
    };
    bool fills = !lazy->image.on_demand;

    while (!fills || lazy->next < lazy->len) {
        if (poll(fds, G_N_ELEMENTS(fds), fills ? 0 : -1) < 0 && errno != EINTR) {
            return fail_errno(error, errno, "wait for page faults");
        }
        if (fds[0].revents != 0) {
            return true;
        }
        if (fds[1].revents != 0 ? !answer_all(lazy, error) : !fill_next(lazy, error)) {
            return false;
        }
    }
    return true;
}

/* While those who wait still do: the owner has stopped the guest before it sees a zero too many. */
static void report(RamLazy *lazy, const char *why)
{
    const RamTrouble *trouble = &lazy->image.trouble;

    mutex_lock(&lazy->lock);
    lazy->trouble = g_strdup_printf("memory %s: it cannot be filled: %s", lazy->backend->id, why);
    mutex_unlock(&lazy->lock);
    if (trouble->report) {
        trouble->report(trouble->opaque, lazy->trouble);
    }
}

static void *fill_thread(void *opaque)
{
    RamLazy *lazy = opaque;
    g_autoptr(GError) error = NULL;

    if (!serve(lazy, &error)) {
        report(lazy, error->message);
    }
    mutex_lock(&lazy->lock);
    userfault_unwatch(lazy->fault_fd, lazy->backend->hva, lazy->len);
    lazy->ended = true;
    fd_close(&lazy->image.fd); /* a template that is deleted gives its place back */
    cond_broadcast(&lazy->ended_cond);
    mutex_unlock(&lazy->lock);
    fd_close(&lazy->fault_fd);
    g_clear_pointer(&lazy->buffer, g_free);
    return NULL;
}

/* ---- its life ------------------------------------------------------------------------------- */

/*
 * So that each page is missing, whatever a file or the VM's building left there.  A write through a
 * private view leaves pages in the file, too, which is nobody else's then (open_all).
 */
static bool empty(const RamLazy *lazy, GError **error)
{
    const RamBackend *backend = lazy->backend;

    if (backend->fd >= 0 && fallocate(backend->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                      (off_t)backend->fd_offset, (off_t)lazy->len) < 0) {
        return fail_errno(error, errno, "empty %" PRIu64 " bytes of it", lazy->len);
    }
    return backend->shared || madvise(backend->hva, lazy->len, MADV_DONTNEED) == 0 ||
           fail_errno(error, errno, "empty %" PRIu64 " bytes of memory", lazy->len);
}

static bool open_all(RamLazy *lazy, const RamImage *image, GError **error)
{
    const RamBackend *backend = lazy->backend;
    uint64_t window = window_bytes(lazy);

    if (backend->has_name && !backend->shared) {
        return fail(error, VMM_ERROR_CONFIG,
                    "it cannot be filled while it is in use: it shows a file: expected share=on");
    }
    lazy->fault_fd = userfault_open(error);
    if (lazy->fault_fd < 0) {
        return false;
    }
    lazy->image.fd = fcntl(image->fd, F_DUPFD_CLOEXEC, 0);
    lazy->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lazy->image.fd < 0 || lazy->stop_fd < 0) {
        return fail_errno(error, errno, "descriptors to fill it");
    }
    lazy->buffer = g_try_malloc(window);
    lazy->settled = g_try_malloc0(PAGE_BITS_WORDS(lazy->len / lazy->page_size) * sizeof(uint64_t));
    if (!lazy->buffer || !lazy->settled) {
        return fail_errno(error, ENOMEM, "%" PRIu64 " bytes to fill it", window);
    }
    lazy->found = g_new(uint64_t, PAGE_BITS_WORDS(window / PAGE_BYTES));
    return check_image(lazy, error) &&
           userfault_watch(lazy->fault_fd, backend->hva, lazy->len, &lazy->has_zeroes, error);
}

RamLazy *ram_lazy_new(const RamBackend *backend, const RamImage *image, GError **error)
{
    g_autoptr(RamLazy) lazy = g_new0(RamLazy, 1);

    lazy->backend = backend;
    lazy->page_size = backend->page_size;
    lazy->len = align_up(backend->size, backend->page_size);
    lazy->image = *image;
    lazy->image.name = lazy->name = g_strdup(image->name);
    lazy->image.fd = lazy->stop_fd = lazy->fault_fd = -1;
    mutex_init(&lazy->lock);
    cond_init(&lazy->ended_cond);
    if (!open_all(lazy, image, error) || !empty(lazy, error)) {
        return NULL;
    }
    lazy->thread = thread_start(THREAD_FILL, "ram-fill", fill_thread, lazy, error);
    return lazy->thread ? g_steal_pointer(&lazy) : NULL;
}

void ram_lazy_free(RamLazy *lazy)
{
    if (!lazy) {
        return;
    }
    if (lazy->thread) {
        eventfd_write(lazy->stop_fd, 1);
        g_thread_join(lazy->thread);
    }
    fd_close(&lazy->fault_fd);
    fd_close(&lazy->stop_fd);
    fd_close(&lazy->image.fd);
    cond_fini(&lazy->ended_cond);
    mutex_fini(&lazy->lock);
    g_free(lazy->name);
    g_free(lazy->buffer);
    g_free(lazy->found);
    g_free(lazy->settled);
    g_free(lazy->trouble);
    g_free(lazy);
}

/* ---- for those who touch the memory --------------------------------------------------------- */

void ram_lazy_wait(RamLazy *lazy)
{
    mutex_lock(&lazy->lock);
    while (!lazy->image.on_demand && !lazy->ended) {
        cond_wait(&lazy->ended_cond, &lazy->lock);
    }
    mutex_unlock(&lazy->lock);
}

bool ram_lazy_check(RamLazy *lazy, GError **error)
{
    bool ok;

    mutex_lock(&lazy->lock);
    ok = !lazy->trouble || fail(error, VMM_ERROR_HOST, "%s", lazy->trouble);
    mutex_unlock(&lazy->lock);
    return ok;
}

void ram_lazy_find_data(RamLazy *lazy, uint64_t offset, uint64_t len, uint64_t *bits)
{
    mutex_lock(&lazy->lock);
    if (!lazy->ended) {
        page_map_find_file_data(lazy->image.fd, lazy->image.offset + offset,
                                covered(lazy, offset, len), bits);
    }
    mutex_unlock(&lazy->lock);
}

bool ram_lazy_discard(RamLazy *lazy, uint64_t offset, uint64_t len, RamZapFn zap)
{
    bool ok;

    mutex_lock(&lazy->lock);
    ok = zap(lazy->backend, offset, len);
    if (ok) {
        page_bits_set(lazy->settled, offset / lazy->page_size, len / lazy->page_size);
    }
    mutex_unlock(&lazy->lock);
    return ok;
}
