/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a template of full RAM costs beside the plain parallel write() of the same bytes, in turns,
 * each to a new file and without fsync:
 *
 *     savebench FOLDER MIB RUNS
 *
 * prints {"write": [ns...], "save": [ns...]}.
 */
#include "hypervisor/memory.h"
#include "migration/template.h"
#include "util/bytes.h"
#include "util/fd.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES MIB
#define MAX_THREADS 16

typedef struct Plain {
    const uint8_t *data;
    uint64_t len;
    int fd;
    atomic_uint_fast64_t next;
} Plain;

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void check(bool ok, const GError *error)
{
    if (!ok) {
        fprintf(stderr, "savebench: %s\n", error ? error->message : "failed");
        exit(EXIT_FAILURE);
    }
}

static void *write_blocks(void *opaque)
{
    Plain *plain = opaque;
    GError *error = NULL;

    for (;;) {
        uint64_t at = atomic_fetch_add(&plain->next, BLOCK_BYTES);

        if (at >= plain->len) {
            return NULL;
        }
        check(fd_pwrite_all(plain->fd, "plain", plain->data + at, BLOCK_BYTES, at, &error), error);
    }
}

static int64_t time_write(const char *path, const uint8_t *data, uint64_t len)
{
    Plain plain = {.data = data, .len = len};
    GThread *threads[MAX_THREADS];
    unsigned count = MIN(g_get_num_processors(), MAX_THREADS);
    int64_t start = now_ns();

    plain.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    check(plain.fd >= 0, NULL);
    for (unsigned i = 1; i < count; i++) {
        threads[i] = g_thread_new("plain", write_blocks, &plain);
    }
    write_blocks(&plain);
    for (unsigned i = 1; i < count; i++) {
        g_thread_join(threads[i]);
    }
    fd_close(&plain.fd);
    return now_ns() - start;
}

static int64_t time_save(const char *dir, const GuestMemory *memory)
{
    const TemplateSaveParams params = {.dir = dir};
    GError *error = NULL;
    int64_t start = now_ns();
    TemplateSave *save = template_save_new(&params, memory, &error);

    check(save != NULL, error);
    template_save_add(save, TEMPLATE_SECTION_CONFIG, "", "{}", 2);
    check(template_save_run(save, &error), error);
    template_save_free(save);
    return now_ns() - start;
}

static void print_list(const char *name, const int64_t *list, size_t count, const char *end)
{
    printf("\"%s\": [", name);
    for (size_t i = 0; i < count; i++) {
        printf("%s%lld", i > 0 ? ", " : "", (long long)list[i]);
    }
    printf("]%s", end);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: savebench FOLDER MIB RUNS\n");
        return EXIT_FAILURE;
    }

    g_autofree char *plain = g_build_filename(argv[1], "plain", NULL);
    g_autofree char *dir = g_build_filename(argv[1], "template", NULL);
    g_autofree char *state = g_build_filename(dir, "state", NULL);
    g_autofree char *memory_path = g_build_filename(dir, "memory", NULL);
    g_autoptr(GuestMemory) memory = guest_mem_new(NULL);
    uint64_t len = strtoull(argv[2], NULL, 10) * MIB;
    size_t runs = strtoul(argv[3], NULL, 10);
    g_autofree int64_t *write_ns = g_new0(int64_t, runs);
    g_autofree int64_t *save_ns = g_new0(int64_t, runs);
    GError *error = NULL;

    /* Like everything that is measured: before whatever else the machine does, where we may. */
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    check(guest_mem_add_plain(memory, len, &error), error);

    uint64_t *words = guest_mem_ptr(memory, GPA(0), len, GUEST_WRITE, NULL);

    for (uint64_t i = 0; i < len / sizeof(*words); i++) {
        words[i] = i * 0x9e3779b97f4a7c15u + 1;
    }
    for (size_t i = 0; i < runs; i++) {
        write_ns[i] = time_write(plain, (const uint8_t *)words, len);
        unlink(plain);
        save_ns[i] = time_save(dir, memory);
        unlink(state);
        unlink(memory_path);
    }
    rmdir(dir);
    printf("{");
    print_list("write", write_ns, runs, ", ");
    print_list("save", save_ns, runs, "}\n");
    return EXIT_SUCCESS;
}
