/* SPDX-License-Identifier: Apache-2.0 */
/* -drive and -blockdev as users write them. */
#include "devices/backend/block_config.h"

#include "devices/backend/block_file_slow.h"
#include "devices/backend/block_throttle.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <glib/gstdio.h>
#include <unistd.h>

static char *image_new(void)
{
    char *path = NULL;
    auto_fd int fd = g_file_open_tmp("stencil-drive-XXXXXX", &path, NULL);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 1 * MIB), 0);
    return path;
}

/* text has a %s for the image. */
static BlockBackend *open_text(const PropTable *table, const char *text, const char *path,
                               GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "%s", -1);
    g_autofree char *full = g_strjoinv(path, parts);
    g_autoptr(PropBag) bag = props_parse(full, NULL, error);
    DriveConfig config = {0};

    if (!bag || !props_apply(table, bag, &config, error)) {
        return NULL;
    }

    BlockBackend *blk = block_open(&config, NULL, error);

    props_clear(table, &config);
    return blk;
}

static const BlockFile *file_of(const BlockBackend *blk)
{
    return (const BlockFile *)blk->child;
}

typedef struct CacheCase {
    const char *text;
    bool direct;
    bool no_flush;
    bool cached;
} CacheCase;

static const CacheCase cache_cases[] = {
    {"file=%s,id=d", false, false, true},
    {"file=%s,id=d,cache=none", true, false, true},
    {"file=%s,id=d,cache=writethrough", false, false, false},
    {"file=%s,id=d,cache=directsync", true, false, false},
    {"file=%s,id=d,cache=unsafe", false, true, true},
    {"file=%s,id=d,direct=on", true, false, true},
    {"file=%s,id=d,cache=none,direct=off", false, false, true},
    {"file=%s,id=d,cache.direct=on,cache.writeback=off,cache.no-flush=on", true, true, false},
};

START_TEST(cache_words_mean_what_they_mean_in_qemu)
{
    const CacheCase *c = &cache_cases[_i];
    g_autofree char *path = image_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockBackend) blk = open_text(&drive_props, c->text, path, &error);

    ck_assert_msg(blk, "%s", error ? error->message : "");
    ck_assert_int_eq(blk->limits.request_alignment > 1, c->direct);
    ck_assert_int_eq(file_of(blk)->no_flush, c->no_flush);
    ck_assert_int_eq(blk->limits.cached, c->cached);
    g_unlink(path);
}
END_TEST

START_TEST(a_drive_of_the_guide_opens)
{
    g_autofree char *path = image_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockBackend) blk =
        open_text(&drive_props, "file=%s,id=rootfs,readonly=off,direct=off", path, &error);

    ck_assert_msg(blk, "%s", error ? error->message : "");
    ck_assert_str_eq(blk->id, "rootfs");
    ck_assert(!blk->read_only);
    ck_assert_uint_eq(block_size(blk), 1 * MIB);
    ck_assert_int_eq(blk->on_read_error, BLOCK_ERROR_REPORT);
    ck_assert_int_eq(blk->on_write_error, BLOCK_ERROR_ENOSPC);
    g_unlink(path);
}
END_TEST

START_TEST(every_option_arrives)
{
    g_autofree char *path = image_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockBackend) blk = open_text(
        &drive_props,
        "file=%s,id=d,if=none,format=raw,media=cdrom,aio=threads,discard=unmap,detect-zeroes=unmap,"
        "locking=off,rerror=stop,werror=ignore,throttling.iops-total=100,"
        "throttling.iops-total-max=200,throttling.iops-total-max-length=3,throttling.iops-size=8k,"
        "throttling.bps-read=1000",
        path, &error);

    ck_assert_msg(blk, "%s", error ? error->message : "");

    ThrottleConfig throttle = block_throttle_get(blk);

    ck_assert(blk->read_only);
    ck_assert(blk->limits.discard);
    ck_assert_int_eq(file_of(blk)->aio, BLOCK_AIO_THREADS);
    ck_assert_int_eq(file_of(blk)->detect_zeroes, BLOCK_DETECT_ZEROES_UNMAP);
    ck_assert_int_eq(blk->on_read_error, BLOCK_ERROR_STOP);
    ck_assert_int_eq(blk->on_write_error, BLOCK_ERROR_IGNORE);
    ck_assert_uint_eq(throttle.limit[THROTTLE_IOPS_TOTAL].rate, 100);
    ck_assert_uint_eq(throttle.limit[THROTTLE_IOPS_TOTAL].burst, 200);
    ck_assert_uint_eq(throttle.limit[THROTTLE_IOPS_TOTAL].burst_seconds, 3);
    ck_assert_uint_eq(throttle.limit[THROTTLE_BPS_READ].rate, 1000);
    ck_assert_uint_eq(throttle.iops_size, 8192);
    g_unlink(path);
}
END_TEST

START_TEST(native_means_the_ring)
{
    g_autofree char *path = image_new();
    g_autoptr(BlockBackend) blk =
        open_text(&drive_props, "file=%s,id=d,aio=native,cache=none", path, NULL);

    ck_assert_ptr_nonnull(blk);
    ck_assert_int_eq(file_of(blk)->aio, BLOCK_AIO_URING);
    g_unlink(path);
}
END_TEST

START_TEST(blockdev_opens_as_words_and_as_json)
{
    static const char *const texts[] = {
        "driver=raw,node-name=n,file.driver=file,file.filename=%s,cache.direct=on",
        "{\"driver\":\"raw\",\"node-name\":\"n\",\"cache.direct\":true,\"file\":{\"filename\":\"%s\"}}",
        "{\"driver\":\"file\",\"node-name\":\"n\",\"filename\":\"%s\",\"cache\":{\"direct\":true}}",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *path = image_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(BlockBackend) blk = open_text(&blockdev_props, texts[i], path, &error);

        ck_assert_msg(blk, "%s", error ? error->message : "");
        ck_assert_str_eq(blk->id, "n");
        ck_assert_str_eq(blk->node_name, "n");
        ck_assert_uint_gt(blk->limits.request_alignment, 1);
        g_unlink(path);
    }
}
END_TEST

typedef struct BadCase {
    const char *text;
    const char *message;
} BadCase;

static const BadCase bad_cases[] = {
    {"file=/x,id=d,format=qcow2", "drive d: format 'qcow2' is not supported, only raw is"},
    {"file=/x,id=d,snapshot=on",
     "drive d: snapshot=on is not supported yet; use a copy of the image"},
    {"file=/x,id=d", "drive d: cannot open '/x' for writing: No such file or directory"},
    {"id=d", "drive: property 'file' is missing"},
    {"file=/x,id=d,throttling.iops-total-max=5",
     "drive d: throttling.iops-total-max needs throttling.iops-total"},
};

START_TEST(a_mistake_is_answered_with_its_name)
{
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(open_text(&drive_props, bad_cases[_i].text, "", &error));
    ck_assert_str_eq(error->message, bad_cases[_i].message);
}
END_TEST

START_TEST(one_image_for_two_drives_is_refused)
{
    g_autofree char *path = image_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockBackend) one = open_text(&drive_props, "file=%s,id=a", path, NULL);
    g_autofree char *expected = g_strdup_printf(
        "drive b: Failed to get \"write\" lock: is another process using the image '%s'?", path);

    ck_assert_ptr_nonnull(one);
    ck_assert_ptr_null(open_text(&drive_props, "file=%s,id=b", path, &error));
    ck_assert_str_eq(error->message, expected);
    g_unlink(path);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("block_config");

    tcase_add_loop_test(tc, cache_words_mean_what_they_mean_in_qemu, 0, G_N_ELEMENTS(cache_cases));
    tcase_add_test(tc, a_drive_of_the_guide_opens);
    tcase_add_test(tc, every_option_arrives);
    tcase_add_test(tc, native_means_the_ring);
    tcase_add_test(tc, blockdev_opens_as_words_and_as_json);
    tcase_add_loop_test(tc, a_mistake_is_answered_with_its_name, 0, G_N_ELEMENTS(bad_cases));
    tcase_add_test(tc, one_image_for_two_drives_is_refused);
    return suite_run("block_config", tc);
}
