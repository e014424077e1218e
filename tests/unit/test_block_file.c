/* SPDX-License-Identifier: Apache-2.0 */
/* Files as disks, by every way that requests reach the host. */
#include "devices/backend/block_file.h"

#include "devices/backend/block_file_slow.h"
#include "devices/backend/block_loop.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IMAGE_BYTES (4 * MIB)
#define MANY        300 /* more than the ring has room for */

typedef struct Way {
    BlockAio aio;
    bool direct;
} Way;

static const Way ways[] = {
    {BLOCK_AIO_URING, false},  {BLOCK_AIO_URING, true}, {BLOCK_AIO_THREADS, false},
    {BLOCK_AIO_THREADS, true}, {BLOCK_AIO_OFF, false},  {BLOCK_AIO_OFF, true},
};

typedef struct Fixture {
    Loop *loop;
    BlockBackend *blk;
    char *path;
    unsigned pending;
    unsigned resizes;
} Fixture;

typedef struct Probe {
    BlockRequest request;
    struct iovec iov[4];
    Fixture *fixture;
    int error;
    bool done;
} Probe;

static char *image_new(uint64_t size)
{
    char *path = NULL;
    auto_fd int fd = g_file_open_tmp("stencil-block-XXXXXX", &path, NULL);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
    return path;
}

static void count_resize(void *opaque)
{
    ((Fixture *)opaque)->resizes++;
}

static void fixture_init(Fixture *f, const BlockFileConfig *config, uint64_t size)
{
    g_autoptr(GError) error = NULL;
    BlockFileConfig full = *config;
    BlockClient client = {.resized = count_resize, .opaque = f};

    *f = (Fixture){.path = image_new(size), .loop = loop_new("test")};
    full.path = f->path;
    f->blk = block_file_open(&full, &error);
    ck_assert_msg(f->blk, "%s", error ? error->message : "");
    f->blk->id = g_strdup("d");
    block_set_client(f->blk, &client);
    block_attach(f->blk, f->loop);
}

static void fixture_fini(Fixture *f)
{
    block_drain(f->blk);
    block_close(f->blk);
    loop_free(f->loop);
    g_unlink(f->path);
    g_free(f->path);
}

static void probe_done(BlockRequest *request, int error)
{
    Probe *probe = (Probe *)request;

    probe->error = error;
    probe->done = true;
    if (--probe->fixture->pending == 0) {
        loop_quit(probe->fixture->loop);
    }
}

/* data may be NULL for what has none. */
static void probe_submit(Fixture *f, Probe *probe, BlockOp op, uint64_t offset, void *data,
                         uint64_t bytes)
{
    unsigned flags = probe->request.flags;

    probe->fixture = f;
    probe->iov[0] = (struct iovec){.iov_base = data, .iov_len = bytes};
    probe->request = (BlockRequest){.op = op,
                                    .flags = flags,
                                    .offset = offset,
                                    .bytes = bytes,
                                    .iov = probe->iov,
                                    .iov_count = data ? 1 : 0,
                                    .done = probe_done};
    probe->done = false;
    f->pending++;
    block_submit(f->blk, &probe->request);
}

static int run_one(Fixture *f, BlockOp op, uint64_t offset, void *data, uint64_t bytes)
{
    Probe probe = {0};

    probe_submit(f, &probe, op, offset, data, bytes);
    /* A quit may be left over from a request that was done before anybody waited for it. */
    while (!probe.done) {
        loop_run(f->loop);
    }
    return probe.error;
}

static uint8_t *aligned_buffer(size_t bytes)
{
    void *data = NULL;

    ck_assert_int_eq(posix_memalign(&data, 4096, bytes), 0);
    return data;
}

static void fill(uint8_t *data, size_t bytes, unsigned seed)
{
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(seed + i * 7 + (i >> 9));
    }
}

static BlockFileConfig way_config(int way)
{
    return (BlockFileConfig){.aio = ways[way].aio, .direct = ways[way].direct};
}

START_TEST(many_requests_at_once_all_arrive)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(MANY * 4096);
    uint8_t *back = aligned_buffer(MANY * 4096);
    g_autofree Probe *probes = g_new0(Probe, MANY);

    fixture_init(&f, &config, IMAGE_BYTES);
    fill(data, MANY * 4096, 3);
    for (unsigned pass = 0; pass < 2; pass++) {
        block_plug(f.blk);
        for (unsigned i = 0; i < MANY; i++) {
            uint8_t *place = (pass == 0 ? data : back) + i * 4096;

            probe_submit(&f, &probes[i], pass == 0 ? BLOCK_WRITE : BLOCK_READ, i * 4096, place,
                         4096);
        }
        block_unplug(f.blk);
        block_drain(f.blk);
        for (unsigned i = 0; i < MANY; i++) {
            ck_assert(probes[i].done);
            ck_assert_int_eq(probes[i].error, 0);
        }
    }
    ck_assert(memcmp(data, back, MANY * 4096) == 0);
    fixture_fini(&f);
    free(data);
    free(back);
}
END_TEST

START_TEST(completions_arrive_through_the_loop)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(64 * KIB);

    fixture_init(&f, &config, IMAGE_BYTES);
    fill(data, 64 * KIB, 9);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_int_eq(run_one(&f, BLOCK_WRITE, i * 64 * KIB, data, 64 * KIB), 0);
        ck_assert_int_eq(run_one(&f, BLOCK_FLUSH, 0, NULL, 0), 0);
        ck_assert_int_eq(run_one(&f, BLOCK_READ, i * 64 * KIB, data, 64 * KIB), 0);
    }
    fixture_fini(&f);
    free(data);
}
END_TEST

START_TEST(scattered_buffers_of_any_alignment_work)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    g_autofree uint8_t *data = g_malloc(16384);
    g_autofree uint8_t *back = g_malloc0(16384);
    Probe probe = {0};

    fixture_init(&f, &config, IMAGE_BYTES);
    fill(data, 16384, 1);
    for (unsigned pass = 0; pass < 2; pass++) {
        uint8_t *base = pass == 0 ? data : back;

        probe.fixture = &f;
        probe.iov[0] = (struct iovec){base + 1, 1023};
        probe.iov[1] = (struct iovec){base + 1024, 1};
        probe.iov[2] = (struct iovec){base + 1025, 7};
        probe.iov[3] = (struct iovec){base + 1032, 8192 - 1031};
        probe.request = (BlockRequest){.op = pass == 0 ? BLOCK_WRITE : BLOCK_READ,
                                       .offset = 512,
                                       .bytes = 8192,
                                       .iov = probe.iov,
                                       .iov_count = 4,
                                       .done = probe_done};
        f.pending = 1;
        block_submit(f.blk, &probe.request);
        block_drain(f.blk);
        ck_assert_int_eq(probe.error, 0);
    }
    ck_assert(memcmp(data + 1, back + 1, 8192) == 0);
    fixture_fini(&f);
}
END_TEST

/* Pretends that the host has blocks of 4 KiB: sectors in the same block must not harm each other. */
START_TEST(parts_of_a_host_block_are_written_side_by_side)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(64 * KIB);
    uint8_t *back = aligned_buffer(64 * KIB);
    g_autofree Probe *probes = g_new0(Probe, 128);

    fixture_init(&f, &config, 64 * KIB - 512);
    f.blk->limits.request_alignment = 4096;
    fill(data, 64 * KIB, 5);
    block_plug(f.blk);
    for (unsigned i = 0; i < 127; i++) {
        probe_submit(&f, &probes[i], BLOCK_WRITE, i * 512, data + i * 512, 512);
    }
    block_unplug(f.blk);
    block_drain(f.blk);
    for (unsigned i = 0; i < 127; i++) {
        ck_assert_int_eq(probes[i].error, 0);
    }
    probe_submit(&f, &probes[0], BLOCK_READ, 512, back, 64 * KIB - 1024);
    block_drain(f.blk);
    ck_assert_int_eq(probes[0].error, 0);
    ck_assert(memcmp(back, data + 512, 64 * KIB - 1024) == 0);

    struct stat st;

    ck_assert_int_eq(stat(f.path, &st), 0);
    ck_assert_int_eq(st.st_size, 64 * KIB - 512);
    fixture_fini(&f);
    free(data);
    free(back);
}
END_TEST

START_TEST(a_large_request_through_the_bounce_buffer_is_whole)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(3 * MIB + 4096);
    uint8_t *back = aligned_buffer(3 * MIB + 4096);

    fixture_init(&f, &config, IMAGE_BYTES);
    f.blk->limits.request_alignment = 4096;
    fill(data, 3 * MIB + 4096, 5);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 512, data + 3, 3 * MIB), 0);
    ck_assert_int_eq(run_one(&f, BLOCK_READ, 512, back + 5, 3 * MIB), 0);
    ck_assert(memcmp(data + 3, back + 5, 3 * MIB) == 0);
    fixture_fini(&f);
    free(data);
    free(back);
}
END_TEST

START_TEST(behind_the_end_of_an_odd_file_there_are_zeros)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(4096);

    fixture_init(&f, &config, 1000);
    ck_assert_uint_eq(block_size(f.blk), 1024);
    memset(data, 0xff, 4096);
    ck_assert_int_eq(run_one(&f, BLOCK_READ, 0, data, 1024), 0);
    for (unsigned i = 0; i < 1024; i++) {
        ck_assert_int_eq(data[i], 0);
    }
    memset(data, 0xab, 4096);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 512, data, 512), 0);
    memset(data, 0, 4096);
    ck_assert_int_eq(run_one(&f, BLOCK_READ, 512, data, 512), 0);
    ck_assert_int_eq(data[511], 0xab);
    fixture_fini(&f);
    free(data);
}
END_TEST

static uint64_t allocated_bytes(const char *path)
{
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

START_TEST(discard_and_zeroes_read_as_zeros_and_give_space_back)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(MIB);
    Probe probe = {0};

    config.discard = true;
    fixture_init(&f, &config, IMAGE_BYTES);
    memset(data, 0xff, MIB);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 0, data, MIB), 0);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, MIB, data, MIB), 0);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 2 * MIB, data, MIB), 0);
    ck_assert_int_eq(run_one(&f, BLOCK_FLUSH, 0, NULL, 0), 0);
    ck_assert_uint_ge(allocated_bytes(f.path), 3 * MIB);
    ck_assert_int_eq(run_one(&f, BLOCK_DISCARD, 0, NULL, MIB), 0);
    probe.request.flags = BLOCK_REQUEST_UNMAP;
    probe_submit(&f, &probe, BLOCK_WRITE_ZEROES, MIB, NULL, MIB);
    block_drain(f.blk);
    ck_assert_int_eq(probe.error, 0);
    ck_assert_uint_lt(allocated_bytes(f.path), MIB + 64 * KIB);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE_ZEROES, 2 * MIB + 512, NULL, MIB - 1024), 0);
    for (unsigned part = 0; part < 3; part++) {
        uint64_t edge = part == 2 ? 512 : 0;

        ck_assert_int_eq(run_one(&f, BLOCK_READ, part * MIB, data, MIB), 0);
        uint64_t wrong = 0;

        for (uint64_t i = 0; i < MIB; i++) {
            wrong += data[i] != (i < edge || i >= MIB - edge ? 0xff : 0);
        }
        ck_assert_uint_eq(wrong, 0);
    }
    fixture_fini(&f);
    free(data);
}
END_TEST

START_TEST(discard_ignore_keeps_the_data)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(4096);

    fixture_init(&f, &config, IMAGE_BYTES);
    memset(data, 0xff, 4096);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 0, data, 4096), 0);
    ck_assert_int_eq(run_one(&f, BLOCK_DISCARD, 0, NULL, 4096), 0);
    memset(data, 0, 4096);
    ck_assert_int_eq(run_one(&f, BLOCK_READ, 0, data, 4096), 0);
    ck_assert_int_eq(data[0], 0xff);
    fixture_fini(&f);
    free(data);
}
END_TEST

START_TEST(detected_zeros_become_holes)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(MIB);

    config.discard = true;
    config.detect_zeroes = BLOCK_DETECT_ZEROES_UNMAP;
    fixture_init(&f, &config, IMAGE_BYTES);
    memset(data, 0xff, MIB);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 0, data, MIB), 0);
    memset(data, 0, MIB);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 0, data, MIB), 0);
    ck_assert_int_eq(run_one(&f, BLOCK_FLUSH, 0, NULL, 0), 0);
    ck_assert_uint_lt(allocated_bytes(f.path), 64 * KIB);
    data[MIB - 1] = 1;
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 0, data, MIB), 0);
    memset(data, 0xff, MIB);
    ck_assert_int_eq(run_one(&f, BLOCK_READ, 0, data, MIB), 0);
    ck_assert_int_eq(data[0], 0);
    ck_assert_int_eq(data[MIB - 1], 1);
    fixture_fini(&f);
    free(data);
}
END_TEST

START_TEST(a_write_with_fua_and_every_kind_of_flush_succeed)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(4096);
    Probe probes[4] = {0};

    fixture_init(&f, &config, IMAGE_BYTES);
    fill(data, 4096, 0);
    for (unsigned i = 0; i < 4; i++) {
        probes[i].request.flags = BLOCK_REQUEST_FUA;
        probe_submit(&f, &probes[i], i % 2 ? BLOCK_FLUSH : BLOCK_WRITE, 0, i % 2 ? NULL : data,
                     i % 2 ? 0 : 4096);
    }
    block_drain(f.blk);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(probes[i].error, 0);
    }
    fixture_fini(&f);
    free(data);
}
END_TEST

START_TEST(a_new_size_is_seen_and_told)
{
    Fixture f;
    BlockFileConfig config = way_config(_i);
    uint8_t *data = aligned_buffer(4096);

    fixture_init(&f, &config, IMAGE_BYTES);
    ck_assert_int_eq(run_one(&f, BLOCK_READ, IMAGE_BYTES, data, 512), EINVAL);
    ck_assert(block_resize(f.blk, IMAGE_BYTES + 4096, NULL));
    ck_assert_uint_eq(f.resizes, 1);
    ck_assert_uint_eq(block_size(f.blk), IMAGE_BYTES + 4096);
    ck_assert_int_eq(run_one(&f, BLOCK_READ, IMAGE_BYTES, data, 512), 0);
    ck_assert_int_eq(truncate(f.path, 8192), 0);
    ck_assert(block_refresh_size(f.blk, NULL));
    ck_assert_uint_eq(f.resizes, 2);
    ck_assert_uint_eq(block_size(f.blk), 8192);
    ck_assert(block_refresh_size(f.blk, NULL));
    ck_assert_uint_eq(f.resizes, 2);
    fixture_fini(&f);
    free(data);
}
END_TEST

START_TEST(a_full_disk_answers_enospc)
{
    Fixture f;
    BlockFileConfig config = {.aio = ways[_i].aio, .no_flush = true};
    uint8_t *data = aligned_buffer(4096);

    if (access("/dev/full", W_OK) != 0) {
        return;
    }
    fixture_init(&f, &config, IMAGE_BYTES);

    auto_fd int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    const BlockFile *file = (const BlockFile *)f.blk;

    ck_assert_int_ge(full, 0);
    ck_assert_int_ge(dup3(full, file->fd, O_CLOEXEC), 0);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 0, data, 4096), ENOSPC);
    fixture_fini(&f);
    free(data);
}
END_TEST

START_TEST(a_read_only_image_is_opened_read_only)
{
    g_autofree char *path = image_new(4096);
    g_autoptr(GError) error = NULL;
    BlockFileConfig config = {.path = path, .read_only = true};

    ck_assert_int_eq(chmod(path, 0400), 0);

    g_autoptr(BlockBackend) blk = block_file_open(&config, &error);

    ck_assert_ptr_nonnull(blk);
    ck_assert(blk->read_only);
    g_unlink(path);
}
END_TEST

typedef struct BadPath {
    const char *path;
    const char *message;
} BadPath;

static const BadPath bad_paths[] = {
    {"/no/such/image", "cannot open '/no/such/image' for reading: No such file or directory"},
    {"/dev/null", "'/dev/null' is neither a regular file nor a block device"},
    {"/", "'/' is neither a regular file nor a block device"},
};

START_TEST(what_cannot_be_a_disk_is_refused_by_name)
{
    g_autoptr(GError) error = NULL;
    BlockFileConfig config = {.path = bad_paths[_i].path, .read_only = true};

    ck_assert_ptr_null(block_file_open(&config, &error));
    ck_assert_str_eq(error->message, bad_paths[_i].message);
}
END_TEST

/* --- what many loops share --- */

START_TEST(two_disks_of_a_loop_share_a_ring_and_it_ends_with_the_last)
{
    Loop *loop = loop_new("test");
    BlockLoop *one = block_loop_ref(loop);
    BlockLoop *two = block_loop_ref(loop);

    ck_assert_ptr_eq(one, two);
    block_loop_unref(one);
    ck_assert_ptr_eq(block_loop_ref(loop), two);
    block_loop_unref(two);
    block_loop_unref(two);
    loop_free(loop);
}
END_TEST

/* From now on this process, which ends with the test, has no io_uring. */
static void refuse_io_uring(int err)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = G_N_ELEMENTS(filter), .filter = filter};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(where_io_uring_is_refused_threads_do_the_work)
{
    static const int refusals[] = {ENOSYS, EPERM, ENOMEM, EINVAL};
    Fixture f;
    BlockFileConfig config = {.aio = BLOCK_AIO_URING};
    uint8_t *data = aligned_buffer(64 * KIB);

    if (g_strcmp0(g_getenv("CK_FORK"), "no") == 0) {
        free(data);
        return; /* the tests behind this one want their io_uring */
    }
    refuse_io_uring(refusals[_i]);
    fixture_init(&f, &config, IMAGE_BYTES);
    fill(data, 64 * KIB, 9);
    ck_assert_int_eq(run_one(&f, BLOCK_WRITE, 4096, data, 64 * KIB), 0);
    memset(data, 0, 64 * KIB);
    ck_assert_int_eq(run_one(&f, BLOCK_READ, 4096, data, 64 * KIB), 0);
    ck_assert_uint_eq(data[1], (uint8_t)(9 + 7));
    ck_assert(!block_loop_has_ring(f.blk->loop));
    fixture_fini(&f);
    free(data);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("block_file");
    int count = G_N_ELEMENTS(ways);

    tcase_add_loop_test(tc, many_requests_at_once_all_arrive, 0, count);
    tcase_add_loop_test(tc, completions_arrive_through_the_loop, 0, count);
    tcase_add_loop_test(tc, scattered_buffers_of_any_alignment_work, 0, count);
    tcase_add_loop_test(tc, parts_of_a_host_block_are_written_side_by_side, 0, count);
    tcase_add_loop_test(tc, a_large_request_through_the_bounce_buffer_is_whole, 0, count);
    tcase_add_loop_test(tc, behind_the_end_of_an_odd_file_there_are_zeros, 0, count);
    tcase_add_loop_test(tc, discard_and_zeroes_read_as_zeros_and_give_space_back, 0, count);
    tcase_add_loop_test(tc, discard_ignore_keeps_the_data, 0, count);
    tcase_add_loop_test(tc, detected_zeros_become_holes, 0, count);
    tcase_add_loop_test(tc, a_write_with_fua_and_every_kind_of_flush_succeed, 0, count);
    tcase_add_loop_test(tc, a_new_size_is_seen_and_told, 0, count);
    tcase_add_loop_test(tc, a_full_disk_answers_enospc, 0, count);
    tcase_add_test(tc, a_read_only_image_is_opened_read_only);
    tcase_add_loop_test(tc, what_cannot_be_a_disk_is_refused_by_name, 0, G_N_ELEMENTS(bad_paths));
    tcase_add_test(tc, two_disks_of_a_loop_share_a_ring_and_it_ends_with_the_last);
    tcase_add_loop_test(tc, where_io_uring_is_refused_threads_do_the_work, 0, 4);
    return suite_run("block_file", tc);
}
