/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_block.h"

#include "devices/backend/block_io.h"

#include <string.h>

static void do_it(FakeBlock *fake, const BlockRequest *request)
{
    uint8_t *place = fake->data + request->offset;

    switch (request->op) {
    case BLOCK_READ:
        block_iov_scatter(request->iov, request->iov_count, 0, place, request->bytes);
        break;
    case BLOCK_WRITE:
        block_iov_gather(request->iov, request->iov_count, 0, place, request->bytes);
        break;
    case BLOCK_DISCARD:
    case BLOCK_WRITE_ZEROES:
        memset(place, 0, request->bytes);
        break;
    case BLOCK_FLUSH:
    case BLOCK_OP_COUNT:
        break;
    }
}

static void finish(FakeBlock *fake, BlockRequest *request, int error)
{
    if (error == 0) {
        do_it(fake, request);
    }
    block_complete(request, error);
}

static void fake_submit(BlockBackend *node, BlockRequest *request)
{
    FakeBlock *fake = (FakeBlock *)node;

    fake->submitted++;
    fake->last_op = request->op;
    fake->last_flags = request->flags;
    if (fake->hold) {
        BlockRequest **end = &fake->held;

        while (*end) {
            end = &(*end)->next;
        }
        request->next = NULL;
        *end = request;
        fake->held_count++;
        return;
    }
    if (fake->fail_with != 0 && fake->fail_after == 0) {
        finish(fake, request, fake->fail_with);
        return;
    }
    fake->fail_after -= fake->fail_after > 0;
    finish(fake, request, 0);
}

static void fake_release(BlockBackend *node)
{
    FakeBlock *fake = (FakeBlock *)node;

    fake_block_finish_all(fake, fake->fail_with);
}

static bool fake_get_size(BlockBackend *node, uint64_t *ret_size, GError **error)
{
    (void)error;
    *ret_size = block_size(node);
    return true;
}

static void fake_close(BlockBackend *node)
{
    g_free(((FakeBlock *)node)->data);
}

static const BlockOps fake_ops = {
    .name = "fake",
    .submit = fake_submit,
    .release = fake_release,
    .get_size = fake_get_size,
    .close = fake_close,
};

FakeBlock *fake_block_new(uint64_t size)
{
    FakeBlock *fake = block_alloc(&fake_ops, NULL, sizeof(*fake));

    fake->base.id = g_strdup("fake0");
    fake->base.limits.discard = true;
    fake->base.limits.cached = true;
    fake->data = g_malloc0(size);
    atomic_store(&fake->base.size, size);
    return fake;
}

void fake_block_finish_oldest(FakeBlock *fake, int error)
{
    BlockRequest *request = fake->held;

    fake->held = request->next;
    fake->held_count--;
    block_plug(&fake->base);
    finish(fake, request, error);
    block_unplug(&fake->base);
}

void fake_block_finish_newest(FakeBlock *fake, int error)
{
    BlockRequest **end = &fake->held;

    while ((*end)->next) {
        end = &(*end)->next;
    }

    BlockRequest *request = *end;

    *end = NULL;
    fake->held_count--;
    block_plug(&fake->base);
    finish(fake, request, error);
    block_unplug(&fake->base);
}

void fake_block_finish_all(FakeBlock *fake, int error)
{
    block_plug(&fake->base);
    while (fake->held) {
        fake_block_finish_oldest(fake, error);
    }
    block_unplug(&fake->base);
}
