/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_BAR       40
#define FIGURES_WIDTH 48 /* columns that are kept for what stands behind the bar */

static const char bar_full[] = "########################################";
static const char bar_empty[] = "........................................";
G_STATIC_ASSERT(sizeof(bar_full) == MAX_BAR + 1 && sizeof(bar_empty) == MAX_BAR + 1);

char *progress_size(uint64_t bytes)
{
    static const char units[] = "BKMGTPE";
    double value = (double)bytes;
    unsigned unit = 0;

    while (value >= 999.5 && unit < sizeof(units) - 2) {
        value /= 1024;
        unit++;
    }
    return g_strdup_printf(unit > 0 && value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

void progress_begin(Progress *progress, const Render *render)
{
    *progress = (Progress){.render = render, .shown = isatty(STDERR_FILENO)};
}

static int terminal_width(void)
{
    struct winsize size = {0};

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* "  256M/s  2 s left", or "" while nothing has moved. */
static char *speed(const Progress *progress, uint64_t done, uint64_t total)
{
    double seconds = (double)(g_get_monotonic_time() - progress->start_us) / G_USEC_PER_SEC;
    double moved = (double)(done - MIN(progress->start_done, done));
    g_autofree char *rate = NULL;

    if (seconds <= 0 || moved <= 0) {
        return g_strdup("");
    }
    rate = progress_size((uint64_t)(moved / seconds));
    return g_strdup_printf("  %s/s  %.0f s left", rate, (double)(total - done) * seconds / moved);
}

void progress_show(Progress *progress, uint64_t done, uint64_t total)
{
    int bar = CLAMP(terminal_width() - FIGURES_WIDTH, 0, MAX_BAR);
    g_autofree char *done_text = progress_size(done);
    g_autofree char *total_text = progress_size(total);
    g_autofree char *rest = NULL;
    double part;
    int full;

    if (!progress->shown || total == 0) {
        return;
    }
    if (!progress->drawn) {
        progress->start_us = g_get_monotonic_time();
        progress->start_done = done;
        progress->drawn = true;
    }
    done = MIN(done, total);
    part = (double)done / (double)total;
    full = (int)(bar * part);
    rest = speed(progress, done, total);
    fprintf(stderr, "\r[%s%.*s%s%.*s] %3d%%  %s of %s%s\033[K",
            render_begin(progress->render->colour_errors, COLOUR_GOOD), full, bar_full,
            render_end(progress->render->colour_errors, COLOUR_GOOD), bar - full, bar_empty,
            (int)(part * 100), done_text, total_text, rest);
}

void progress_end(Progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        progress->drawn = false;
    }
}
