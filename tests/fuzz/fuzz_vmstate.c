/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table with every kind of field reads the input.  What it accepts must save to something that
 * it accepts again and that saves to the same bytes.
 */
#include "migration/vmstate.h"

#include <json-c/json.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Leaf {
    uint16_t a;
    uint8_t b[2];
} Leaf;

typedef struct Tree {
    uint8_t flag;
    uint32_t n;
    uint64_t pair[2];
    Leaf one;
    Leaf two[2];
    Leaf *made;
    uint32_t num_made;
    Leaf *list;
    uint32_t num_list;
    uint8_t *bytes;
    uint32_t num_bytes;
    uint64_t *words;
    uint32_t num_words;
    uint32_t extra;
} Tree;

static const VmStateField leaf_fields[] = {
    VMSTATE_FIELD_U16(Leaf, a, 1),
    VMSTATE_FIELD_BYTES(Leaf, b, 2),
};

static const VmStateDesc leaf_vmstate = {
    .name = "leaf",
    .version = 2,
    .min_version = 1,
    .fields = leaf_fields,
    .num_fields = G_N_ELEMENTS(leaf_fields),
};

static bool extra_needed(const void *dev)
{
    return ((const Tree *)dev)->extra != 0;
}

static const VmStateField extra_fields[] = {
    VMSTATE_FIELD_U32(Tree, extra, 1),
};

static const VmStateDesc extra_vmstate = {
    .name = "x",
    .version = 1,
    .min_version = 1,
    .fields = extra_fields,
    .num_fields = G_N_ELEMENTS(extra_fields),
    .needed = extra_needed,
};

static const VmStateDesc *const tree_subsections[] = {&extra_vmstate};

static const VmStateField tree_fields[] = {
    VMSTATE_FIELD_BOOL(Tree, flag, 1),
    VMSTATE_FIELD_U32(Tree, n, 1),
    VMSTATE_FIELD_U64_ARRAY(Tree, pair, 1),
    VMSTATE_FIELD_STRUCT(Tree, one, Leaf, &leaf_vmstate, 1),
    VMSTATE_FIELD_STRUCT_ARRAY(Tree, two, Leaf, &leaf_vmstate, 1),
    VMSTATE_FIELD_STRUCTS_BEHIND(Tree, made, num_made, 4, Leaf, &leaf_vmstate, 1),
    VMSTATE_FIELD_STRUCT_BUFFER(Tree, list, num_list, 8, Leaf, &leaf_vmstate, 1),
    VMSTATE_FIELD_BUFFER(Tree, bytes, num_bytes, 64, 1),
    VMSTATE_FIELD_U64_BUFFER(Tree, words, num_words, 8, 1),
};

static const VmStateDesc tree_vmstate = {
    .name = "tree",
    .version = 1,
    .min_version = 1,
    .fields = tree_fields,
    .num_fields = G_N_ELEMENTS(tree_fields),
    .subsections = tree_subsections,
    .num_subsections = G_N_ELEMENTS(tree_subsections),
};

static void tree_free(Tree *tree)
{
    g_free(tree->made);
    g_free(tree->list);
    g_free(tree->bytes);
    g_free(tree->words);
    g_free(tree);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tree, tree_free)

static Tree *tree_new(void)
{
    Tree *tree = g_new0(Tree, 1);

    tree->made = g_new0(Leaf, 3);
    tree->num_made = 3;
    return tree;
}

static GByteArray *tree_save(Tree *tree)
{
    GByteArray *out = g_byte_array_new();
    bool ok = vmstate_save(&tree_vmstate, tree, out, NULL);

    g_assert(ok);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Tree) tree = tree_new();
    g_autoptr(Tree) again = tree_new();
    g_autoptr(GError) error = NULL;

    json_object_put(vmstate_dump(data, size, NULL));
    if (!vmstate_load(&tree_vmstate, tree, data, size, &error)) {
        g_assert(error && error->message[0] != '\0');
        return 0;
    }

    g_autoptr(GByteArray) first = tree_save(tree);
    bool ok = vmstate_load(&tree_vmstate, again, first->data, first->len, &error);

    g_assert(ok);

    g_autoptr(GByteArray) second = tree_save(again);

    g_assert(first->len == second->len && memcmp(first->data, second->data, first->len) == 0);
    return 0;
}
