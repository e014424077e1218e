/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/json_stream.h"

#include "qmp/json_stream_private.h"
#include "util/error.h"

#include <string.h>

/* What is kept for the next value. */
#define KEEP_BYTES 65536

typedef enum LexState {
    LEX_START,
    LEX_RECOVERY,
    LEX_KEYWORD,
    LEX_STRING,
    LEX_ESCAPE,
    LEX_MINUS,
    LEX_ZERO,
    LEX_INTEGER,
    LEX_POINT,
    LEX_FRACTION,
    LEX_E,
    LEX_E_SIGN,
    LEX_EXPONENT,
} LexState;

/* What a byte does to the token that is being read. */
typedef enum LexStep {
    LEX_TAKE,   /* belongs to it */
    LEX_LAST,   /* ends it, and belongs to it */
    LEX_BEFORE, /* ends it, and begins something else */
    LEX_SKIP,   /* belongs to nothing */
    LEX_STRAY,  /* cannot be here */
} LexStep;

struct JsonStream {
    LexState state;
    char quote;
    GString *text;  /* of all tokens of this value, the unfinished one last */
    GArray *tokens; /* of JsonToken */
    uint32_t token_start;
    int braces;
    int brackets;
};

JsonStream *json_stream_new(void)
{
    JsonStream *stream = g_new0(JsonStream, 1);

    stream->text = g_string_new(NULL);
    stream->tokens =
        g_array_new(/* zero_terminated= */ FALSE, /* clear_= */ FALSE, sizeof(JsonToken));
    return stream;
}

void json_stream_free(JsonStream *stream)
{
    if (stream) {
        g_string_free(stream->text, /* free_segment= */ TRUE);
        g_array_unref(stream->tokens);
        g_free(stream);
    }
}

size_t json_stream_pending(const JsonStream *stream)
{
    return stream->text->len + stream->tokens->len * sizeof(JsonToken);
}

/* ---- the lexer ---- */

static bool is_punctuation(char c)
{
    return c != '\0' && strchr("{}[]:,", c);
}

static bool is_control(char c)
{
    return (uint8_t)c < 0x20;
}

/* Bytes that are in no UTF-8 text. */
static bool is_impossible(char c)
{
    return (uint8_t)c >= 0xFE;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static LexStep enter(LexState *state, LexState next)
{
    *state = next;
    return LEX_TAKE;
}

static LexStep step_start(JsonStream *stream, char c)
{
    if (is_space(c)) {
        return LEX_SKIP;
    }
    if (is_punctuation(c)) {
        return LEX_LAST;
    }
    if (c == '"' || c == '\'') {
        stream->quote = c;
        return enter(&stream->state, LEX_STRING);
    }
    if (c == '-' || c == '0') {
        return enter(&stream->state, c == '-' ? LEX_MINUS : LEX_ZERO);
    }
    if (g_ascii_isdigit(c)) {
        return enter(&stream->state, LEX_INTEGER);
    }
    return g_ascii_islower(c) ? enter(&stream->state, LEX_KEYWORD) : LEX_STRAY;
}

static LexStep step_string(JsonStream *stream, char c)
{
    if (is_control(c) || is_impossible(c)) {
        return LEX_STRAY;
    }
    if (stream->state == LEX_ESCAPE) {
        return enter(&stream->state, LEX_STRING);
    }
    if (c == '\\') {
        return enter(&stream->state, LEX_ESCAPE);
    }
    return c == stream->quote ? LEX_LAST : LEX_TAKE;
}

/* Where a digit, '.', 'e' and a sign lead; LEX_START: the number ends; LEX_RECOVERY: a mistake. */
typedef struct NumberRule {
    LexState digit, point, exponent, sign, other;
} NumberRule;

static const NumberRule number_rules[] = {
    [LEX_MINUS] = {LEX_INTEGER, LEX_RECOVERY, LEX_RECOVERY, LEX_RECOVERY, LEX_RECOVERY},
    [LEX_ZERO] = {LEX_RECOVERY, LEX_POINT, LEX_E, LEX_START, LEX_START},
    [LEX_INTEGER] = {LEX_INTEGER, LEX_POINT, LEX_E, LEX_START, LEX_START},
    [LEX_POINT] = {LEX_FRACTION, LEX_RECOVERY, LEX_RECOVERY, LEX_RECOVERY, LEX_RECOVERY},
    [LEX_FRACTION] = {LEX_FRACTION, LEX_START, LEX_E, LEX_START, LEX_START},
    [LEX_E] = {LEX_EXPONENT, LEX_RECOVERY, LEX_RECOVERY, LEX_E_SIGN, LEX_RECOVERY},
    [LEX_E_SIGN] = {LEX_EXPONENT, LEX_RECOVERY, LEX_RECOVERY, LEX_RECOVERY, LEX_RECOVERY},
    [LEX_EXPONENT] = {LEX_EXPONENT, LEX_START, LEX_START, LEX_START, LEX_START},
};

static LexStep step_number(JsonStream *stream, char c)
{
    const NumberRule *rule = &number_rules[stream->state];
    LexState next = rule->other;

    if (g_ascii_isdigit(c)) {
        next = stream->state == LEX_MINUS && c == '0' ? LEX_ZERO : rule->digit;
    } else if (c == '.') {
        next = rule->point;
    } else if (c == 'e' || c == 'E') {
        next = rule->exponent;
    } else if (c == '+' || c == '-') {
        next = rule->sign;
    }
    if (next == LEX_START) {
        return LEX_BEFORE;
    }
    return next == LEX_RECOVERY ? LEX_STRAY : enter(&stream->state, next);
}

static LexStep lex_step(JsonStream *stream, char c)
{
    switch (stream->state) {
    case LEX_RECOVERY:
        if (!is_punctuation(c) && !(is_control(c) && c != '\t') && !is_impossible(c)) {
            return LEX_SKIP;
        }
        stream->state = LEX_START;
        return step_start(stream, c);
    case LEX_START:
        return step_start(stream, c);
    case LEX_KEYWORD:
        return g_ascii_islower(c) ? LEX_TAKE : LEX_BEFORE;
    case LEX_STRING:
    case LEX_ESCAPE:
        return step_string(stream, c);
    case LEX_MINUS:
    case LEX_ZERO:
    case LEX_INTEGER:
    case LEX_POINT:
    case LEX_FRACTION:
    case LEX_E:
    case LEX_E_SIGN:
    case LEX_EXPONENT:
    default:
        return step_number(stream, c);
    }
}

/* ---- from tokens to values ---- */

static void begin_value(JsonStream *stream)
{
    /* A large value should not keep its memory for the small ones behind it. */
    if (stream->text->allocated_len > KEEP_BYTES) {
        g_string_free(stream->text, /* free_segment= */ TRUE);
        g_array_unref(stream->tokens);
        stream->text = g_string_new(NULL);
        stream->tokens =
            g_array_new(/* zero_terminated= */ FALSE, /* clear_= */ FALSE, sizeof(JsonToken));
    }
    g_string_truncate(stream->text, 0);
    g_array_set_size(stream->tokens, 0);
    stream->token_start = 0;
    stream->braces = 0;
    stream->brackets = 0;
}

static JsonStreamResult give_up(JsonStream *stream, GError **error, const char *why)
{
    begin_value(stream);
    fail(error, VMM_ERROR_WIRE, "%s", why);
    return JSON_STREAM_ERROR;
}

static JsonStreamResult stray(JsonStream *stream, GError **error)
{
    g_autofree char *text = g_strdup(stream->text->str + stream->token_start);

    stream->state = LEX_RECOVERY;
    begin_value(stream);
    fail(error, VMM_ERROR_WIRE, "JSON parse error, stray '%s'", text);
    return JSON_STREAM_ERROR;
}

static char token_type(const JsonStream *stream, LexState state)
{
    switch (state) {
    case LEX_START:
        return stream->text->str[stream->token_start];
    case LEX_KEYWORD:
        return JSON_TOKEN_KEYWORD;
    case LEX_STRING:
        return JSON_TOKEN_STRING;
    case LEX_RECOVERY:
    case LEX_ESCAPE:
    case LEX_MINUS:
    case LEX_ZERO:
    case LEX_INTEGER:
    case LEX_POINT:
    case LEX_FRACTION:
    case LEX_E:
    case LEX_E_SIGN:
    case LEX_EXPONENT:
    default:
        return JSON_TOKEN_NUMBER;
    }
}

static JsonStreamResult end_token(JsonStream *stream, json_object **ret_value, GError **error)
{
    JsonToken token = {.type = token_type(stream, stream->state),
                       .offset = stream->token_start,
                       .len = (uint32_t)stream->text->len - stream->token_start};
    bool ok;

    g_array_append_val(stream->tokens, token);
    stream->state = LEX_START;
    stream->token_start = (uint32_t)stream->text->len;
    stream->braces += (token.type == '{') - (token.type == '}');
    stream->brackets += (token.type == '[') - (token.type == ']');
    if (stream->tokens->len > JSON_STREAM_MAX_TOKENS) {
        return give_up(stream, error, "JSON token count limit exceeded");
    }
    if (stream->braces + stream->brackets > (int)JSON_STREAM_MAX_DEPTH) {
        return give_up(stream, error, "JSON nesting depth limit exceeded");
    }
    if (stream->braces >= 0 && stream->brackets >= 0 && stream->braces + stream->brackets > 0) {
        return JSON_STREAM_MORE;
    }
    ok = json_parse_tokens(stream->text->str, &g_array_index(stream->tokens, JsonToken, 0),
                           stream->tokens->len, ret_value, error);
    begin_value(stream);
    return ok ? JSON_STREAM_VALUE : JSON_STREAM_ERROR;
}

JsonStreamResult json_stream_read(JsonStream *stream, const char *data, size_t len,
                                  size_t *ret_used, json_object **ret_value, GError **error)
{
    JsonStreamResult result = JSON_STREAM_MORE;
    size_t i = 0;

    while (i < len && result == JSON_STREAM_MORE) {
        LexStep step = lex_step(stream, data[i]);

        if (step == LEX_BEFORE) {
            result = end_token(stream, ret_value, error);
            continue;
        }
        i++;
        if (step == LEX_SKIP) {
            continue;
        }
        g_string_append_c(stream->text, data[i - 1]);
        if (step == LEX_STRAY) {
            result = stray(stream, error);
        } else if (stream->text->len > JSON_STREAM_MAX_BYTES) {
            stream->state = LEX_RECOVERY;
            result = give_up(stream, error, "JSON token size limit exceeded");
        } else if (step == LEX_LAST) {
            result = end_token(stream, ret_value, error);
        }
    }
    *ret_used = i;
    return result;
}
