/* A core of Xtensa LX6/LX7 (ESP32, -S2, -S3) as far as MicroPython's viper code needs it, and that much of a runtime.

   Instructions as in the Xtensa ISA reference manual; windowed calls are those of the runtime only, which run here and not
   as instructions. Every memory access must hit something that was given to the code, with the right to do so: what does
   not ends the run with a message. Counted per function: instructions, and calls of the runtime by kind.
*/

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint32_t u32;
typedef int32_t i32;
typedef uint8_t u8;

enum { MEMORY_BYTES = 1 << 21, MAX_FUNCTIONS = 128, MAX_BUFFERS = 1024, STACK_BYTES = 1 << 14, MAX_DEPTH = 8 };
enum { READ = 1, WRITE = 2 };                                   /* rights of a byte of memory */
enum { FROM_OBJECT = 3, TO_OBJECT = 4, CALL = 27, DIVIDE = 46, MODULO = 47 }; /* py/nativeglue.h */
enum { N_INSTRUCTIONS, N_FROM, N_TO, N_CALL, N_DIVIDE, N_COUNTS };
static const u32 BASE = 0x3FF00000, BUFFERS = 0x30000000, FUNCTIONS = 0x31000000, RUNTIME = 0x32000000;

typedef struct {
    u8 memory[MEMORY_BYTES], rights[MEMORY_BYTES];
    u32 free, stack, self;
    u32 function[MAX_FUNCTIONS], n_functions;
    u32 buffer[MAX_BUFFERS], n_buffers;
    uint64_t counts[MAX_FUNCTIONS][N_COUNTS];
    uint64_t n_left;                                            /* instructions until a run has lost its way */
    jmp_buf failed;
    char message[200];
} Core;

static void fail(Core *core, u32 function, u32 at, const char *what, u32 value) {
    snprintf(core->message, sizeof core->message, "function %u at +0x%x: %s 0x%x", function, at, what, value);
    longjmp(core->failed, 1);
}

static u32 take(Core *core, u32 n_bytes, u8 rights) {
    u32 at = core->free;
    core->free = (at + n_bytes + 15 + 16) & ~15u;               /* 16 bytes that belong to nobody between two things */
    if (core->free > MEMORY_BYTES) return 0;
    memset(core->rights + at, rights, n_bytes);
    return BASE + at;
}

static u8 *reach(Core *core, u32 address, u32 n_bytes, u8 right, u32 function, u32 at) {
    u32 offset = address - BASE;
    if (offset >= MEMORY_BYTES - 4) fail(core, function, at, "no memory at", address);
    if (address & (n_bytes - 1)) fail(core, function, at, "unaligned access to", address);
    for (u32 i = 0; i < n_bytes; i++)
        if (!(core->rights[offset + i] & right)) fail(core, function, at, "memory of nobody, or read only, at", address);
    return core->memory + offset;
}

static void put_word(Core *core, u32 address, u32 word) { memcpy(core->memory + (address - BASE), &word, 4); }

static u32 run(Core *core, u32 function, u32 n_arguments, u32 arguments, u32 stack, u32 depth);

static u32 runtime(Core *core, u32 function, u32 at, u32 entry, const u32 *a, u32 depth) {
    uint64_t *counts = core->counts[function];
    u32 first = a[10], second = a[11];
    i32 n = (i32)first, d = (i32)second;
    switch (entry) {
        case FROM_OBJECT:
            counts[N_FROM]++;
            if (second == 0) return first;                      /* stays an object */
            if (second <= 3) {
                if (!(first & 1)) fail(core, function, at, "not a small integer:", first);
                return (u32)((i32)first >> 1);
            }
            if (first - BUFFERS < 4 * core->n_buffers) return core->buffer[(first - BUFFERS) / 4];
            fail(core, function, at, "not a buffer:", first);
            return 0;
        case TO_OBJECT:
            counts[N_TO]++;
            if (second == 1) return (u32)(first != 0) << 1 | 1;
            if (second > 3) fail(core, function, at, "a pointer becomes an object:", first);
            if (n < -(1 << 30) || n >= 1 << 30) fail(core, function, at, "more than a small integer crosses a call:", first);
            return first << 1 | 1;
        case DIVIDE:
        case MODULO: {
            counts[N_DIVIDE]++;
            if (d == 0) fail(core, function, at, "division by zero of", first);
            i32 quotient = n / d, rest = n % d;
            if (rest != 0 && (rest < 0) != (d < 0)) quotient--, rest += d;
            return (u32)(entry == DIVIDE ? quotient : rest);
        }
        case CALL:
            counts[N_CALL]++;
            if (first - FUNCTIONS >= 4 * core->n_functions) fail(core, function, at, "not a function:", first);
            if (depth == MAX_DEPTH) fail(core, function, at, "too many calls within calls:", depth);
            return run(core, (first - FUNCTIONS) / 4, second & 0xFF, a[12], a[1] - 64, depth + 1);
        default:
            fail(core, function, at, "an entry of the runtime that is not here:", entry);
            return 0;
    }
}

static const i32 B4_CONSTANT[16] = {-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256};

static u32 run(Core *core, u32 function, u32 n_arguments, u32 arguments, u32 stack, u32 depth) {
    u32 a[16] = {0}, pc = core->function[function], start = pc, sar = 0;
    uint64_t *counts = core->counts[function];
    a[1] = stack;
    a[2] = core->self;
    a[3] = n_arguments;
    a[5] = arguments;
    for (;;) {
        const u8 *p = core->memory + (pc - BASE);
        u32 w = p[0] | p[1] << 8 | (u32)p[2] << 16, at = pc - start;
        u32 op0 = w & 15, t = w >> 4 & 15, s = w >> 8 & 15, r = w >> 12 & 15, op1 = w >> 16 & 15, op2 = w >> 20 & 15;
        u32 imm8 = w >> 16 & 0xFF, next = pc + (op0 >= 8 ? 2 : 3);
        i32 signed8 = (int8_t)imm8, condition = 0;
        counts[N_INSTRUCTIONS]++;
        if (!core->n_left--) fail(core, function, at, "does not end:", 0);
        switch (op0) {
            case 0: /* QRST */
                if (op1 == 0) {
                    switch (op2) {
                        case 0:
                            if (r == 0 && t == 9) return a[2];              /* RETW */
                            if (r == 0 && t == 10) { next = a[s]; break; }  /* JX */
                            if (r == 0 && t == 14) {                        /* CALLX8 */
                                if (a[s] - RUNTIME >= 4 * 128) fail(core, function, at, "calls nobody at", a[s]);
                                a[10] = runtime(core, function, at, (a[s] - RUNTIME) / 4, a, depth);
                                break;
                            }
                            goto unknown;
                        case 1: a[r] = a[s] & a[t]; break;
                        case 2: a[r] = a[s] | a[t]; break;
                        case 3: a[r] = a[s] ^ a[t]; break;
                        case 4:
                            if (r == 0) sar = a[s] & 31;                    /* SSR */
                            else if (r == 1) sar = 32 - (a[s] & 31);        /* SSL */
                            else goto unknown;
                            break;
                        case 6:
                            if (s == 0) a[r] = 0 - a[t];
                            else if (s == 1) a[r] = (i32)a[t] < 0 ? 0 - a[t] : a[t];
                            else goto unknown;
                            break;
                        case 8: case 9: case 10: case 11: a[r] = (a[s] << (op2 - 8)) + a[t]; break; /* ADD, ADDX2.. */
                        case 12: a[r] = a[s] - a[t]; break;
                        default: goto unknown;
                    }
                } else if (op1 == 1) {
                    switch (op2) {
                        case 0: case 1: a[r] = a[s] << (32 - (t | (op2 & 1) << 4)); break;              /* SLLI */
                        case 2: case 3: a[r] = (u32)((i32)a[t] >> (s | (op2 & 1) << 4)); break;         /* SRAI */
                        case 4: a[r] = a[t] >> s; break;                                                /* SRLI */
                        case 9: a[r] = sar > 31 ? 0 : a[t] >> sar; break;                               /* SRL */
                        case 10: a[r] = sar == 0 ? 0 : a[s] << (32 - sar); break;                       /* SLL */
                        case 11: a[r] = (u32)((i32)a[t] >> (sar > 31 ? 31 : sar)); break;               /* SRA */
                        default: goto unknown;
                    }
                } else if (op1 == 2 && op2 == 8) {
                    a[r] = a[s] * a[t];                                                                 /* MULL */
                } else {
                    goto unknown;
                }
                break;
            case 1: { /* L32R: a literal before the code */
                u32 address = ((pc + 3) & ~3u) + ((w >> 8 | 0xFFFF0000) << 2);
                memcpy(&a[t], reach(core, address, 4, READ, function, at), 4);
                break;
            }
            case 2: /* LSAI */
                switch (r) {
                    case 0: a[t] = *reach(core, a[s] + imm8, 1, READ, function, at); break;
                    case 1: case 9: {
                        uint16_t half;
                        memcpy(&half, reach(core, a[s] + imm8 * 2, 2, READ, function, at), 2);
                        a[t] = r == 9 ? (u32)(int16_t)half : half;
                        break;
                    }
                    case 2: memcpy(&a[t], reach(core, a[s] + imm8 * 4, 4, READ, function, at), 4); break;
                    case 4: *reach(core, a[s] + imm8, 1, WRITE, function, at) = (u8)a[t]; break;
                    case 5: {
                        uint16_t half = (uint16_t)a[t];
                        memcpy(reach(core, a[s] + imm8 * 2, 2, WRITE, function, at), &half, 2);
                        break;
                    }
                    case 6: memcpy(reach(core, a[s] + imm8 * 4, 4, WRITE, function, at), &a[t], 4); break;
                    case 10: a[t] = (u32)((i32)((imm8 | s << 8) << 20) >> 20); break;                   /* MOVI */
                    case 12: a[t] = a[s] + (u32)signed8; break;                                         /* ADDI */
                    case 13: a[t] = a[s] + ((u32)signed8 << 8); break;                                  /* ADDMI */
                    default: goto unknown;
                }
                break;
            case 6: { /* SI */
                u32 n = t & 3, m = t >> 2;
                if (n == 0) {
                    next = pc + 4 + (u32)((i32)(w << 8) >> 14);                                         /* J */
                } else if (n == 1) {
                    condition = m == 0 ? a[s] == 0 : m == 1 ? a[s] != 0 : m == 2 ? (i32)a[s] < 0 : (i32)a[s] >= 0;
                    if (condition) next = pc + 4 + (u32)((i32)(w << 8) >> 20);                          /* BEQZ.. */
                } else if (n == 2) {
                    i32 k = B4_CONSTANT[r], v = (i32)a[s];
                    condition = m == 0 ? v == k : m == 1 ? v != k : m == 2 ? v < k : v >= k;
                    if (condition) next = pc + 4 + (u32)signed8;                                        /* BEQI.. */
                } else if (m == 0) {
                    a[s] -= (w >> 12) << 3;                                                             /* ENTRY */
                } else {
                    goto unknown;
                }
                break;
            }
            case 7: { /* B */
                u32 x = a[s], y = a[t], bit = x >> (t | (r & 1) << 4) & 1;
                switch (r) {
                    case 0: condition = (x & y) == 0; break;
                    case 1: condition = x == y; break;
                    case 2: condition = (i32)x < (i32)y; break;
                    case 3: condition = x < y; break;
                    case 6: case 7: condition = !bit; break;
                    case 8: condition = (x & y) != 0; break;
                    case 9: condition = x != y; break;
                    case 10: condition = (i32)x >= (i32)y; break;
                    case 11: condition = x >= y; break;
                    case 14: case 15: condition = (i32)bit; break;
                    default: goto unknown;
                }
                if (condition) next = pc + 4 + (u32)signed8;
                break;
            }
            case 8: memcpy(&a[t], reach(core, a[s] + r * 4, 4, READ, function, at), 4); break;          /* L32I.N */
            case 9: memcpy(reach(core, a[s] + r * 4, 4, WRITE, function, at), &a[t], 4); break;         /* S32I.N */
            case 10: a[r] = a[s] + a[t]; break;                                                         /* ADD.N */
            case 11: a[r] = a[s] + (t ? t : (u32)-1); break;                                            /* ADDI.N */
            case 12:
                if (!(t & 8)) {
                    i32 v = (i32)((t & 7) << 4 | r);
                    a[s] = (u32)(v >= 96 ? v - 128 : v);                                                /* MOVI.N */
                } else if ((t & 4) ? a[s] != 0 : a[s] == 0) {
                    next = pc + 4 + ((t & 3) << 4 | r);                                                 /* BEQZ.N.. */
                }
                break;
            case 13:
                if (r == 0) a[t] = a[s];                                                                /* MOV.N */
                else if (r == 15 && t <= 1) return a[2];                                                /* RETW.N */
                else goto unknown;
                break;
            default:
            unknown:
                fail(core, function, at, "an instruction that is not here:", w);
        }
        pc = next;
    }
}

Core *core_new(void) {
    Core *core = calloc(1, sizeof *core);
    if (!core) return NULL;
    core->free = 64;
    u32 table = take(core, 4 * 128, READ), constants = take(core, 4 * 64, READ), names = take(core, 4 * 64, READ);
    u32 context = take(core, 16, READ);
    core->self = take(core, 16, READ);
    core->stack = take(core, STACK_BYTES, READ | WRITE) + STACK_BYTES - 1024;
    for (u32 i = 0; i < 128; i++) put_word(core, table + 4 * i, RUNTIME + 4 * i);
    for (u32 i = 0; i < 64; i++) put_word(core, constants + 4 * i, table); /* the runtime's table stands among them */
    put_word(core, context + 8, names);
    put_word(core, context + 12, constants);
    put_word(core, core->self + 4, context);
    return core;
}

void core_delete(Core *core) { free(core); }

/* Returns the object for a function, or 0 if there is no room. */
u32 core_function(Core *core, const u8 *code, u32 n_bytes) {
    u32 at = take(core, n_bytes, READ);
    if (!at || core->n_functions == MAX_FUNCTIONS) return 0;
    memcpy(core->memory + (at - BASE), code, n_bytes);
    core->function[core->n_functions] = at;
    return FUNCTIONS + 4 * core->n_functions++;
}

/* Returns the object for a buffer, or 0; where it lies goes to *bytes. */
u32 core_buffer(Core *core, u32 n_bytes, int is_writable, u8 **bytes) {
    u32 at = take(core, n_bytes ? n_bytes : 1, is_writable ? READ | WRITE : READ);
    if (!at || core->n_buffers == MAX_BUFFERS) return 0;
    *bytes = core->memory + (at - BASE);
    core->buffer[core->n_buffers] = at;
    return BUFFERS + 4 * core->n_buffers++;
}

/* Forget the buffers made since there were n_buffers, whose memory began at `free`. */
void core_marks(Core *core, u32 *n_buffers, u32 *free_at) { *n_buffers = core->n_buffers, *free_at = core->free; }
void core_release(Core *core, u32 n_buffers, u32 free_at) {
    memset(core->rights + free_at, 0, core->free - free_at);
    core->n_buffers = n_buffers, core->free = free_at;
}

/* Calls a function with n objects. Returns 0 and its result (an object), or 1: core_message says why. */
int core_call(Core *core, u32 function, u32 n, const u32 *objects, uint64_t max_instructions, u32 *result) {
    u32 arguments = core->stack + 256;
    if (setjmp(core->failed)) return 1;
    core->n_left = max_instructions;
    for (u32 i = 0; i < n; i++) put_word(core, arguments + 4 * i, objects[i]);
    *result = run(core, (function - FUNCTIONS) / 4, n, arguments, core->stack, 0);
    return 0;
}

const char *core_message(const Core *core) { return core->message; }
uint64_t core_count(const Core *core, u32 function, u32 kind) { return core->counts[(function - FUNCTIONS) / 4][kind]; }
void core_forget_counts(Core *core) { memset(core->counts, 0, sizeof core->counts); }
