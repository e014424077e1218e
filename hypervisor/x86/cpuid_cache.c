/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/x86/cpuid_cache.h"

#include "util/fd.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_NAME    "stencil-cpuid"
#define CACHE_MAGIC   UINT64_C(0x3144495550435453) /* "STCPUID1", little-endian */
#define BOOT_ID_BYTES 36

/* All of it is compared, so it is all zero where nothing is written. */
typedef struct CacheIdentity {
    uint64_t magic;
    char boot_id[BOOT_ID_BYTES + 4];
    uint64_t kvm_device, kvm_inode;
    int64_t kvm_changed_s, kvm_changed_ns;
} CacheIdentity;

typedef struct CacheHeader {
    CacheIdentity identity;
    uint64_t count;
    uint64_t checksum; /* of the entries */
} CacheHeader;

/* FNV-1a: against a torn file, not against an enemy, who could not have written it. */
static uint64_t checksum(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

static bool read_identity(int kvm_fd, CacheIdentity *ret)
{
    auto_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    struct stat kvm;

    memset(ret, 0, sizeof(*ret));
    ret->magic = CACHE_MAGIC;
    if (fd < 0 || read(fd, ret->boot_id, BOOT_ID_BYTES) != BOOT_ID_BYTES ||
        fstat(kvm_fd, &kvm) < 0) {
        return false;
    }
    ret->kvm_device = kvm.st_dev;
    ret->kvm_inode = kvm.st_ino;
    ret->kvm_changed_s = kvm.st_ctim.tv_sec;
    ret->kvm_changed_ns = kvm.st_ctim.tv_nsec;
    return true;
}

static char *cache_path(const char *folder)
{
    const char *runtime = folder ? folder : getenv("XDG_RUNTIME_DIR");

    if (!runtime && geteuid() == 0) {
        runtime = "/run";
    }
    return runtime && runtime[0] == '/' ? g_strdup_printf("%s/" CACHE_NAME, runtime) : NULL;
}

static bool is_ours_alone(int fd)
{
    struct stat file;

    return fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_uid == geteuid() &&
           (file.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool cpuid_cache_load(const char *folder, int kvm_fd, struct kvm_cpuid2 *table, uint32_t max)
{
    g_autofree char *path = cache_path(folder);
    auto_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    CacheIdentity now;
    CacheHeader header;

    if (fd < 0 || !is_ours_alone(fd) || read(fd, &header, sizeof(header)) != sizeof(header) ||
        header.count == 0 || header.count > max || !read_identity(kvm_fd, &now) ||
        memcmp(&header.identity, &now, sizeof(now)) != 0) {
        return false;
    }

    size_t len = header.count * sizeof(table->entries[0]);

    if (read(fd, table->entries, len) != (ssize_t)len ||
        checksum(table->entries, len) != header.checksum) {
        return false;
    }
    table->nent = (uint32_t)header.count;
    return true;
}

static bool write_cache(int fd, int kvm_fd, const struct kvm_cpuid2 *table)
{
    size_t len = table->nent * sizeof(table->entries[0]);
    CacheHeader header = {.count = table->nent, .checksum = checksum(table->entries, len)};

    return read_identity(kvm_fd, &header.identity) &&
           fd_write_all(fd, CACHE_NAME, &header, sizeof(header), NULL) &&
           fd_write_all(fd, CACHE_NAME, table->entries, len, NULL);
}

void cpuid_cache_save(const char *folder, int kvm_fd, const struct kvm_cpuid2 *table)
{
    g_autofree char *path = cache_path(folder);
    g_autofree char *fresh = path ? g_strconcat(path, ".XXXXXX", NULL) : NULL;
    auto_fd int fd = fresh ? mkostemp(fresh, O_CLOEXEC) : -1;

    if (fd >= 0 && (!write_cache(fd, kvm_fd, table) || rename(fresh, path) < 0)) {
        unlink(fresh);
    }
}
