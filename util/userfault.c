/* SPDX-License-Identifier: Apache-2.0 */
#include "util/userfault.h"

#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.1; newer than the headers that this must build with. */
#define DEVICE     "/dev/userfaultfd"
#define IOCTL_NEW  _IO(0xAA, 0x00) /* USERFAULTFD_IOC_NEW */

#define OPEN_FLAGS (O_CLOEXEC | O_NONBLOCK)

/* By the device, whose permissions are the administrator's to give. */
static int open_by_device(void)
{
    auto_fd int device = open(DEVICE, O_RDWR | O_CLOEXEC);

    return device < 0 ? -1 : ioctl(device, IOCTL_NEW, OPEN_FLAGS);
}

int userfault_open(GError **error)
{
    struct uffdio_api api = {.api = UFFD_API};
    auto_fd int fd = (int)syscall(SYS_userfaultfd, OPEN_FLAGS);
    int err = fd < 0 ? errno : 0;

    if (fd < 0) {
        fd = open_by_device();
    }
    if (fd < 0 && err == ENOSYS) {
        fail(error, VMM_ERROR_HOST,
             "this host's kernel has no userfaultfd: expected one with CONFIG_USERFAULTFD");
        return -1;
    }
    if (fd < 0) {
        fail_errno(error, err,
                   "the host refuses userfaultfd: expected sysctl vm.unprivileged_userfaultfd=1, "
                   "CAP_SYS_PTRACE or access to " DEVICE);
        return -1;
    }
    if (ioctl(fd, UFFDIO_API, &api) < 0) {
        fail_errno(error, errno, "userfaultfd of another version than expected");
        return -1;
    }
    return fd_steal(&fd);
}

bool userfault_watch(int fd, void *at, uint64_t len, bool *ret_zeroes, GError **error)
{
    struct uffdio_register args = {
        .range = {.start = (uintptr_t)at, .len = len},
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };

    if (ioctl(fd, UFFDIO_REGISTER, &args) < 0) {
        return errno == EINVAL
                   ? fail(error, VMM_ERROR_HOST,
                          "userfaultfd cannot watch this memory: expected anonymous memory, a "
                          "memfd, tmpfs or hugetlbfs")
                   : fail_errno(error, errno, "userfaultfd: watch %" PRIu64 " bytes", len);
    }
    *ret_zeroes = (args.ioctls >> _UFFDIO_ZEROPAGE & 1) != 0;
    return true;
}

void userfault_unwatch(int fd, void *at, uint64_t len)
{
    struct uffdio_range range = {.start = (uintptr_t)at, .len = len};

    /* It fails only where nothing is watched. */
    ioctl(fd, UFFDIO_UNREGISTER, &range);
}

bool userfault_read(int fd, uintptr_t *ret_address)
{
    struct uffd_msg message;

    while (read(fd, &message, sizeof(message)) == sizeof(message)) {
        if (message.event == UFFD_EVENT_PAGEFAULT) {
            *ret_address = (uintptr_t)message.arg.pagefault.address;
            return true;
        }
    }
    return false;
}

static void wake(int fd, uint64_t at, uint64_t len)
{
    struct uffdio_range range = {.start = at, .len = len};

    ioctl(fd, UFFDIO_WAKE, &range);
}

/* What is to be where. */
typedef struct Placement {
    int fd;
    uint64_t at;
    const uint8_t *data; /* NULL: zeroes */
    uint64_t len;
    uint64_t page_size;
} Placement;

/* Bytes that came to be there; negative: -errno. */
static int64_t place_some(const Placement *p, uint64_t done)
{
    struct uffdio_copy copy = {.dst = p->at + done, .len = p->len - done};
    struct uffdio_zeropage zero = {.range = {.start = copy.dst, .len = copy.len}};
    bool all;

    if (p->data) {
        copy.src = (uintptr_t)p->data + done;
        all = ioctl(p->fd, UFFDIO_COPY, &copy) == 0;
    } else {
        all = ioctl(p->fd, UFFDIO_ZEROPAGE, &zero) == 0;
        copy.copy = zero.zeropage;
    }
    return all || copy.copy > 0 ? copy.copy : -errno;
}

/*
 * The kernel stops early at a page that is there already (whoever waits for it has come too late to
 * be woken by it), and when it is busy with the map of the memory.
 */
static bool place(const Placement *p, GError **error)
{
    uint64_t done = 0;

    while (done < p->len) {
        int64_t n = place_some(p, done);

        if (n == -EEXIST) {
            wake(p->fd, p->at + done, p->page_size);
            n = (int64_t)p->page_size;
        } else if (n == -EAGAIN || n == -EINTR) {
            n = 0;
        }
        if (n < 0) {
            return fail_errno(error, (int)-n, "userfaultfd: place %" PRIu64 " bytes",
                              p->len - done);
        }
        done += (uint64_t)n;
    }
    return true;
}

bool userfault_copy(int fd, void *at, const void *data, uint64_t len, uint64_t page_size,
                    GError **error)
{
    const Placement placement = {fd, (uintptr_t)at, data, len, page_size};

    return place(&placement, error);
}

bool userfault_zero(int fd, void *at, uint64_t len, uint64_t page_size, GError **error)
{
    const Placement placement = {fd, (uintptr_t)at, /* data= */ NULL, len, page_size};

    return place(&placement, error);
}
