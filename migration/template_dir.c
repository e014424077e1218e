/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/template_dir.h"

#include "util/error.h"
#include "util/fault.h"
#include "util/fd.h"
#include "util/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HIDDEN_PREFIX ".stencil-"

static const char *const hidden_suffixes[] = {"." TEMPLATE_STATE_NAME, "." TEMPLATE_MEMORY_NAME};

static char *hidden_name(const uint8_t identity[FORMAT_IDENTITY_BYTES], const char *name)
{
    char text[TEXT_UUID_SIZE];

    text_format_uuid(identity, text);
    return g_strdup_printf("%s%s.%s", HIDDEN_PREFIX, text, name);
}

char *template_dir_hidden_memory(const uint8_t identity[FORMAT_IDENTITY_BYTES])
{
    return hidden_name(identity, TEMPLATE_MEMORY_NAME);
}

static bool is_hidden_name(const char *name)
{
    size_t prefix = strlen(HIDDEN_PREFIX);
    uint8_t identity[FORMAT_IDENTITY_BYTES];

    if (strncmp(name, HIDDEN_PREFIX, prefix) != 0) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(hidden_suffixes); i++) {
        g_autofree char *text = g_strndup(name + prefix, TEXT_UUID_SIZE - 1);

        if (text_parse_uuid(text, identity) &&
            strcmp(name + prefix + TEXT_UUID_SIZE - 1, hidden_suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* --- opening --- */

static bool open_folder(TemplateDir *dir, GError **error)
{
    dir->made = !g_file_test(dir->path, G_FILE_TEST_EXISTS);
    if (dir->made && g_mkdir_with_parents(dir->path, 0700) < 0) {
        return fail_errno(error, errno, "cannot make the folder '%s'", dir->path);
    }
    dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0) {
        return fail_errno(error, errno, "cannot open the folder '%s'", dir->path);
    }
    /* A file system without locks leaves it to the user not to save twice at a time. */
    if (flock(dir->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        dir->made = false;
        return fail(error, VMM_ERROR_STATE, "'%s': another save into it is going on", dir->path);
    }
    return true;
}

/* What is in the way of a rename is told before the guest's memory is written. */
static bool check_target(const TemplateDir *dir, const char *name, const char *path, GError **error)
{
    struct stat st;

    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT || fail_errno(error, errno, "'%s'", path);
    }
    return S_ISREG(st.st_mode) ||
           fail(error, VMM_ERROR_CONFIG, "'%s' is there and is not a regular file: expected none",
                path);
}

/* The identity of the state that is in place; false if none can be read. */
static bool current_identity(const TemplateDir *dir, uint8_t ret_identity[FORMAT_IDENTITY_BYTES])
{
    auto_fd int fd = openat(dir->fd, TEMPLATE_STATE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint8_t header[FORMAT_HEADER_BYTES];
    FormatLabel label;

    if (fd < 0 || !fd_pread_all(fd, dir->path, header, sizeof(header), 0, NULL) ||
        !format_parse_label(FORMAT_STATE, header, &label, NULL)) {
        return false;
    }
    memcpy(ret_identity, label.identity, FORMAT_IDENTITY_BYTES);
    return true;
}

/* What a save that died between steps 2 and 3 has left to do. */
static bool finish_interrupted(const TemplateDir *dir, GError **error)
{
    uint8_t identity[FORMAT_IDENTITY_BYTES];
    g_autofree char *name = NULL;

    if (!current_identity(dir, identity)) {
        return true;
    }
    name = template_dir_hidden_memory(identity);
    if (renameat(dir->fd, name, dir->fd, TEMPLATE_MEMORY_NAME) < 0 && errno != ENOENT) {
        return fail_errno(error, errno, "cannot rename '%s/%s' to '%s'", dir->path, name,
                          dir->memory_path);
    }
    return true;
}

static void remove_stale(const TemplateDir *dir)
{
    auto_fd int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!list) {
        return;
    }
    fd_steal(&fd);
    while ((entry = readdir(list)) != NULL) { /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
        if (is_hidden_name(entry->d_name)) {
            unlinkat(dir->fd, entry->d_name, 0);
        }
    }
    closedir(list);
}

static bool open_hidden(const TemplateDir *dir, const char *name, int flags, int *ret_fd,
                        GError **error)
{
    int fd = openat(dir->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600);

    if (fd < 0) {
        return fail_errno(error, errno, "cannot make '%s/%s'%s", dir->path, name,
                          flags & O_DIRECT ? " for direct I/O" : "");
    }
    *ret_fd = fd;
    return true;
}

bool template_dir_init(TemplateDir *dir, const char *path, bool direct_io, GError **error)
{
    *dir = (TemplateDir){
        .path = g_strdup(path),
        .fd = -1,
        .state_path = g_build_filename(path, TEMPLATE_STATE_NAME, NULL),
        .memory_path = g_build_filename(path, TEMPLATE_MEMORY_NAME, NULL),
        .state_fd = -1,
        .memory_fd = -1,
    };
    if (!format_new_identity(dir->identity, error) || !open_folder(dir, error) ||
        !check_target(dir, TEMPLATE_STATE_NAME, dir->state_path, error) ||
        !check_target(dir, TEMPLATE_MEMORY_NAME, dir->memory_path, error) ||
        !finish_interrupted(dir, error)) {
        return false;
    }
    remove_stale(dir);
    dir->hidden_state = hidden_name(dir->identity, TEMPLATE_STATE_NAME);
    dir->hidden_memory = template_dir_hidden_memory(dir->identity);
    return open_hidden(dir, dir->hidden_memory, direct_io ? O_DIRECT : 0, &dir->memory_fd, error) &&
           open_hidden(dir, dir->hidden_state, 0, &dir->state_fd, error);
}

/* --- publishing --- */

static bool sync_folder(const TemplateDir *dir, bool sync, GError **error)
{
    int err = sync ? fault_errno("template-sync-folder") : 0;

    if (sync && err == 0 && fsync(dir->fd) < 0) {
        err = errno;
    }
    return err == 0 || fail_errno(error, err, "'%s': sync the folder", dir->path);
}

static bool put_in_place(const TemplateDir *dir, const char *hidden, const char *name,
                         const char *fault, GError **error)
{
    int err = fault_errno(fault);

    if (err == 0 && renameat(dir->fd, hidden, dir->fd, name) < 0) {
        err = errno;
    }
    return err == 0 || fail_errno(error, err, "cannot rename '%s/%s' to '%s/%s'", dir->path, hidden,
                                  dir->path, name);
}

bool template_dir_publish(TemplateDir *dir, bool sync, GError **error)
{
    if (!sync_folder(dir, sync, error) || !put_in_place(dir, dir->hidden_state, TEMPLATE_STATE_NAME,
                                                        "template-rename-state", error)) {
        return false;
    }
    dir->published = true;
    if (!sync_folder(dir, sync, error) ||
        !put_in_place(dir, dir->hidden_memory, TEMPLATE_MEMORY_NAME, "template-rename-memory",
                      error) ||
        !sync_folder(dir, sync, error)) {
        g_prefix_error(error, "the new template is in place, but: ");
        return false;
    }
    return true;
}

void template_dir_fini(TemplateDir *dir)
{
    if (dir->fd >= 0 && !dir->published) {
        if (dir->state_fd >= 0) {
            unlinkat(dir->fd, dir->hidden_state, 0);
        }
        if (dir->memory_fd >= 0) {
            unlinkat(dir->fd, dir->hidden_memory, 0);
        }
        if (dir->made) {
            rmdir(dir->path);
        }
    }
    fd_close(&dir->state_fd);
    fd_close(&dir->memory_fd);
    fd_close(&dir->fd);
    g_clear_pointer(&dir->path, g_free);
    g_clear_pointer(&dir->hidden_state, g_free);
    g_clear_pointer(&dir->hidden_memory, g_free);
    g_clear_pointer(&dir->state_path, g_free);
    g_clear_pointer(&dir->memory_path, g_free);
}
