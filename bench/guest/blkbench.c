/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blkbench DEVICE ROUNDS MIB OPERATIONS: block throughput as a guest sees it.
 *
 * Each round runs every pattern once and prints `blk PATTERN BYTES NANOSECONDS`.  Sequential
 * patterns move MIB in pieces of 1 MiB, random ones do OPERATIONS of 4 KiB.  Static and on plain
 * system calls, so that it runs in any initramfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MIB       (UINT64_C(1) << 20)
#define SMALL     UINT64_C(4096)
#define DEPTH_MAX 32u

typedef struct {
    const char *name;
    uint64_t piece;
    unsigned depth;
    bool write;
    bool random;
    bool direct;
} Pattern;

static const Pattern patterns[] = {
    {"seq-read", MIB, 1, false, false, true},
    {"seq-write", MIB, 1, true, false, true},
    {"seq-read-buffered", MIB, 1, false, false, false},
    {"seq-write-buffered", MIB, 1, true, false, false},
    {"rand-read-qd1", SMALL, 1, false, true, true},
    {"rand-write-qd1", SMALL, 1, true, true, true},
    {"rand-read-qd32", SMALL, DEPTH_MAX, false, true, true},
    {"rand-write-qd32", SMALL, DEPTH_MAX, true, true, true},
};

typedef struct {
    const Pattern *pattern;
    int fd;
    uint64_t pieces;       /* to move */
    uint64_t piece_choice; /* places on the device that a random pattern picks from */
    uint64_t random;
    uint8_t *buffer; /* DEPTH_MAX pieces of 4 KiB, or one of 1 MiB */
} Run;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool fail(const char *what)
{
    printf("blkbench: %s: %s\n", what, strerror(errno));
    return false;
}

static uint64_t next_offset(Run *run, uint64_t piece)
{
    if (!run->pattern->random) {
        return piece * run->pattern->piece;
    }
    run->random = run->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (run->random >> 33) % run->piece_choice * run->pattern->piece;
}

static bool run_one_by_one(Run *run)
{
    const Pattern *pattern = run->pattern;

    for (uint64_t piece = 0; piece < run->pieces; piece++) {
        off_t offset = (off_t)next_offset(run, piece);
        ssize_t moved = pattern->write ? pwrite(run->fd, run->buffer, pattern->piece, offset)
                                       : pread(run->fd, run->buffer, pattern->piece, offset);

        if (moved != (ssize_t)pattern->piece) {
            return fail(pattern->name);
        }
    }
    return true;
}

static bool submit(Run *run, aio_context_t context, struct iocb *iocbs, uint64_t slot,
                   uint64_t piece)
{
    struct iocb *iocb = &iocbs[slot];

    *iocb = (struct iocb){.aio_fildes = (uint32_t)run->fd,
                          .aio_lio_opcode = run->pattern->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
                          .aio_buf = (uintptr_t)run->buffer + slot * SMALL,
                          .aio_nbytes = run->pattern->piece,
                          .aio_offset = (int64_t)next_offset(run, piece),
                          .aio_data = slot};
    return syscall(SYS_io_submit, context, 1L, &iocb) == 1 || fail("io_submit");
}

static bool run_in_parallel(Run *run)
{
    struct iocb iocbs[DEPTH_MAX]; /* aio_data is the index of each in here */
    struct io_event events[DEPTH_MAX];
    aio_context_t context = 0;
    uint64_t sent = 0, done = 0;

    if (syscall(SYS_io_setup, DEPTH_MAX, &context) < 0) {
        return fail("io_setup");
    }
    for (; sent < run->pattern->depth && sent < run->pieces; sent++) {
        if (!submit(run, context, iocbs, sent, sent)) {
            return false;
        }
    }
    while (done < sent) {
        long got = syscall(SYS_io_getevents, context, 1L, (long)DEPTH_MAX, events, NULL);

        for (long i = 0; i < got; i++, done++) {
            if (events[i].res != (int64_t)run->pattern->piece) {
                return fail(run->pattern->name);
            }
            if (sent < run->pieces && !submit(run, context, iocbs, events[i].data, sent++)) {
                return false;
            }
        }
        if (got < 0) {
            return fail("io_getevents");
        }
    }
    return syscall(SYS_io_destroy, context) == 0;
}

static bool measure(const Pattern *pattern, const char *device, uint64_t mib, uint64_t operations)
{
    Run run = {.pattern = pattern, .random = now_ns()};
    int flags = pattern->direct ? O_RDWR | O_DIRECT : O_RDWR;
    uint64_t size = 0, start, end;
    bool done;

    run.fd = open(device, flags | O_CLOEXEC);
    run.buffer =
        mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (run.fd < 0 || run.buffer == MAP_FAILED || ioctl(run.fd, BLKGETSIZE64, &size) < 0) {
        return fail(device);
    }
    memset(run.buffer, 0x5a, MIB);
    ioctl(run.fd, BLKFLSBUF);
    run.pieces = pattern->random ? operations : mib;
    run.piece_choice = size / pattern->piece;
    start = now_ns();
    done = pattern->depth > 1 ? run_in_parallel(&run) : run_one_by_one(&run);
    if (pattern->write && !pattern->direct) {
        done = done && fsync(run.fd) == 0;
    }
    end = now_ns();
    printf("blk %s %" PRIu64 " %" PRIu64 "\n", pattern->name, run.pieces * pattern->piece,
           end - start);
    munmap(run.buffer, MIB);
    close(run.fd);
    return done;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        printf("usage: blkbench DEVICE ROUNDS MIB OPERATIONS\n");
        return 2;
    }
    for (unsigned long round = strtoul(argv[2], NULL, 10); round > 0; round--) {
        for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
            if (!measure(&patterns[i], argv[1], strtoull(argv[3], NULL, 10),
                         strtoull(argv[4], NULL, 10))) {
                return 1;
            }
        }
    }
    return 0;
}
