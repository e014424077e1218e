/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/editor.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HISTORY_LINES 1000
#define PROMPT_MARK   '\1' /* around what takes no room on the screen */

struct Editor {
    const EditorUser *user;
    EditLine *edit;
    History *history;
    char *prompt;
    bool over;       /* the user has no more news */
    mbstate_t state; /* of a character that is not complete */
};

static Editor *editor_of(EditLine *edit)
{
    Editor *editor = NULL;

    el_get(edit, EL_CLIENTDATA, &editor);
    return editor;
}

static char *prompt_text(EditLine *edit)
{
    return editor_of(edit)->prompt;
}

/* ---- input ---- */

/* The line gives way to the news, and comes back below. */
static void show_news(Editor *editor)
{
    fputs("\r\033[K", stdout);
    editor->over = !editor->user->news(editor->user->opaque);
    fflush(stdout);
    if (!editor->over) {
        el_set(editor->edit, EL_REFRESH);
    }
}

/* 1 with a character, 0 at the end, -1 if there is none yet. */
static int read_character(Editor *editor, wchar_t *ret_character)
{
    char byte;
    ssize_t n = read(STDIN_FILENO, &byte, 1);
    size_t used;

    if (n <= 0) {
        return n < 0 && (errno == EINTR || errno == EAGAIN) ? -1 : 0;
    }
    used = mbrtowc(ret_character, &byte, 1, &editor->state);
    if (used == (size_t)-1) {
        memset(&editor->state, 0, sizeof(editor->state)); /* no character of this locale */
    }
    return used == (size_t)-1 || used == (size_t)-2 ? -1 : 1;
}

static int get_character(EditLine *edit, wchar_t *ret_character)
{
    Editor *editor = editor_of(edit);
    int got = -1;

    while (got < 0) {
        struct pollfd asks[] = {
            {.fd = editor->user->fd, .events = POLLIN},
            {.fd = STDIN_FILENO, .events = POLLIN},
        };

        if (poll(asks, G_N_ELEMENTS(asks), -1) < 0) {
            continue; /* a signal, which libedit has dealt with */
        }
        if (asks[0].revents) {
            show_news(editor);
            if (editor->over) {
                return 0;
            }
        }
        if (asks[1].revents) {
            got = read_character(editor, ret_character);
        }
    }
    return got;
}

/* ---- completion ---- */

/* How many bytes all of them begin with. */
static size_t common_length(const GPtrArray *words)
{
    const char *first = words->pdata[0];
    size_t len = strlen(first);

    for (guint i = 1; i < words->len; i++) {
        const char *word = words->pdata[i];
        size_t same = 0;

        while (same < len && word[same] == first[same]) {
            same++;
        }
        len = same;
    }
    return len;
}

static void list_words(const GPtrArray *words)
{
    putchar('\n');
    for (guint i = 0; i < words->len; i++) {
        printf("%s%s", (const char *)words->pdata[i], i + 1 < words->len ? "  " : "\n");
    }
    fflush(stdout);
}

static unsigned char complete(EditLine *edit, int key)
{
    const EditorUser *user = editor_of(edit)->user;
    const LineInfo *line = el_line(edit);
    g_autofree char *text = g_strndup(line->buffer, (gsize)(line->cursor - line->buffer));
    size_t start = 0;
    g_autoptr(GPtrArray) words = user->complete(user->opaque, text, &start);
    size_t typed = strlen(text) - start;
    g_autofree char *more = NULL;
    bool finished;

    (void)key;
    if (words->len == 0) {
        return CC_REFRESH_BEEP;
    }
    more = g_strndup((const char *)words->pdata[0] + typed, common_length(words) - typed);
    finished = words->len == 1 && !g_str_has_suffix(words->pdata[0], "=");
    if (more[0] == '\0' && !finished) {
        list_words(words);
        return CC_REDISPLAY;
    }
    el_insertstr(edit, more);
    if (finished) {
        el_insertstr(edit, " ");
    }
    return CC_REFRESH;
}

/* ---- life ---- */

static void set_keys(EditLine *edit)
{
    el_set(edit, EL_EDITOR, "emacs");
    /* The narrow form copies both words and never frees them. */
    el_wset(edit, EL_ADDFN, L"complete", L"complete the word", complete);
    el_set(edit, EL_BIND, "^I", "complete", NULL);
    el_set(edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    /* Ctrl-C gives up the line, and not the shell. */
    el_set(edit, EL_SETTY, "-d", "-isig", NULL);
    el_set(edit, EL_BIND, "^C", "em-kill-line", NULL);
    el_source(edit, NULL); /* ~/.editrc */
}

Editor *editor_new(const EditorUser *user)
{
    Editor *editor = g_new0(Editor, 1);
    HistEvent event;

    editor->user = user;
    editor->prompt = user->colour ? g_strdup_printf("\1\033[1m\1%s\1\033[0m\1", user->prompt)
                                  : g_strdup(user->prompt);
    editor->edit = el_init("stencilctl", stdin, stdout, stderr);
    editor->history = history_init();
    if (!editor->edit || !editor->history) {
        editor_free(editor);
        return NULL;
    }
    history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    history(editor->history, &event, H_SETUNIQUE, 1);
    if (user->history) {
        history(editor->history, &event, H_LOAD, user->history);
    }
    el_set(editor->edit, EL_CLIENTDATA, editor);
    el_set(editor->edit, EL_SIGNAL, 1);
    el_set(editor->edit, EL_PROMPT_ESC, prompt_text, PROMPT_MARK);
    el_set(editor->edit, EL_HIST, history, editor->history);
    el_set(editor->edit, EL_GETCFN, get_character);
    set_keys(editor->edit);
    return editor;
}

void editor_free(Editor *editor)
{
    if (!editor) {
        return;
    }
    if (editor->edit) {
        el_end(editor->edit);
    }
    if (editor->history) {
        history_end(editor->history);
    }
    g_free(editor->prompt);
    g_free(editor);
}

static void remember(Editor *editor, const char *line)
{
    HistEvent event;

    history(editor->history, &event, H_ENTER, line);
    if (editor->user->history) {
        history(editor->history, &event, H_SAVE, editor->user->history);
    }
}

char *editor_next(Editor *editor)
{
    int count = 0;
    const char *text = el_gets(editor->edit, &count);
    g_autofree char *line = NULL;

    if (!text || count <= 0 || editor->over) {
        return NULL;
    }
    line = g_strndup(text, (gsize)count);
    g_strchomp(line);
    if (line[0] != '\0') {
        remember(editor, line);
    }
    return g_steal_pointer(&line);
}
