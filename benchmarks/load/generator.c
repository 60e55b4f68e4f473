/* Load generator: sends prepared HTTP/1.1 requests over keep-alive connections and prints one JSON object.
 *
 *   generator --port P --requests FILE [--host A] [--connections N] [--seconds S | --count N]
 *             [--warm-up S] [--sequence [--pause-ms M]] [--list]
 *
 * FILE holds requests one after another, each as "LENGTH\n" followed by LENGTH bytes; they are sent round robin, so
 * signing costs nothing here. One request is in flight per connection (a closed loop): throughput is what N waiting
 * clients get, and latency is from the first byte written to the last byte of the answer read.
 * --sequence sends every request of FILE once, in order, over one connection, with a pause between two: the cold mode.
 * --list adds every latency in microseconds, in order (with --sequence or --count).
 * An answer counts as good if its status is 200 or 202 and it has no X-Amz-Function-Error. A lost connection counts as
 * an error and is opened again. One thread, one epoll.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096
#define ANSWER_BYTES_MAX (16u << 20)
#define STALL_MS 30000

/* Log-linear histogram of nanoseconds: 128 steps in each power of two, so an error below 0.8 %. */
#define STEP_BITS 7
#define STEPS (1u << STEP_BITS)
#define BUCKETS (64u * STEPS)

struct request { const char *bytes; size_t length; };

struct connection {
    int fd;
    size_t next_request, sent, received, capacity, header_length, body_length;
    int is_chunked, is_closing, is_busy;
    int status, has_function_error;
    uint64_t started_ns;
    char *answer;
};

static struct request *requests;
static size_t request_count, cursor;
static struct connection connections[CONNECTIONS_MAX];
static struct sockaddr_in address;
static int epoll_fd;
static uint64_t histogram[BUCKETS];
static uint64_t measured, good, function_errors, lost, started, max_ns, sum_ns, measure_from_ns;
static uint64_t statuses[600];
static uint64_t *listed;
static size_t listed_count, listed_capacity;
static int is_listing;
static char first_bad[512];

static void die(const char *what) { perror(what); exit(2); }

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned bucket_of(uint64_t v) {
    if (v < STEPS) return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - STEP_BITS;
    return ((shift + 1) << STEP_BITS) + (unsigned)((v >> shift) & (STEPS - 1));
}

static uint64_t bucket_top(unsigned b) {
    if (b < STEPS) return b;
    unsigned shift = (b >> STEP_BITS) - 1;
    return ((((uint64_t)STEPS | (b & (STEPS - 1))) + 1) << shift) - 1;
}

static double quantile_us(double q) {
    uint64_t wanted = (uint64_t)(q * (double)measured + 0.5), seen = 0;
    if (wanted < 1) wanted = 1;
    for (unsigned b = 0; b < BUCKETS; b++) {
        seen += histogram[b];
        if (seen >= wanted) { uint64_t top = bucket_top(b); return (double)(top < max_ns ? top : max_ns) / 1000.0; }
    }
    return (double)max_ns / 1000.0;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    size_t capacity = 0, length;
    while (fscanf(file, "%zu", &length) == 1) {
        if (fgetc(file) != '\n') break;
        char *bytes = malloc(length ? length : 1);
        if (!bytes || fread(bytes, 1, length, file) != length) { fprintf(stderr, "%s: cut short\n", path); exit(2); }
        if (request_count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            requests = realloc(requests, capacity * sizeof *requests);
            if (!requests) die("realloc");
        }
        requests[request_count++] = (struct request){bytes, length};
    }
    fclose(file);
    if (!request_count) { fprintf(stderr, "%s: no request\n", path); exit(2); }
}

static void watch(struct connection *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0) die("epoll_ctl");
}

static void open_connection(struct connection *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
    c->is_busy = 0;
}

static void reopen(struct connection *c) {
    close(c->fd);
    open_connection(c);
}

static void count_lost(struct connection *c) {
    if (c->is_busy && c->started_ns >= measure_from_ns) lost++;
    reopen(c);
}

/* Writes what the socket takes; waits for room if it must. Returns 0 when the connection was lost. */
static int push(struct connection *c) {
    const struct request *r = &requests[c->next_request];
    while (c->sent < r->length) {
        ssize_t n = send(c->fd, r->bytes + c->sent, r->length - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) { watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD); return 1; }
            return 0;
        }
        c->sent += (size_t)n;
    }
    return 1;
}

static void start_request(struct connection *c) {
    c->next_request = cursor++ % request_count;
    c->sent = c->received = c->header_length = c->body_length = 0;
    c->is_chunked = c->is_closing = c->status = c->has_function_error = 0;
    c->is_busy = 1;
    started++;
    c->started_ns = now_ns();
    for (int attempt = 0; !push(c); attempt++) {
        if (attempt == 3) die("send");
        count_lost(c);
        c->sent = 0;
        c->is_busy = 1;
    }
}

static void read_header(struct connection *c, const char *line, size_t length) {
    char text[512];
    if (length >= sizeof text) return;
    memcpy(text, line, length);
    text[length] = 0;
    if (!strncasecmp(text, "content-length:", 15)) c->body_length = strtoull(text + 15, NULL, 10);
    else if (!strncasecmp(text, "transfer-encoding:", 18) && strcasestr(text, "chunked")) c->is_chunked = 1;
    else if (!strncasecmp(text, "connection:", 11) && strcasestr(text, "close")) c->is_closing = 1;
    else if (!strncasecmp(text, "x-amz-function-error:", 21)) c->has_function_error = 1;
}

static void read_head(struct connection *c) {
    char *end = memmem(c->answer, c->received, "\r\n\r\n", 4);
    if (!end) return;
    c->header_length = (size_t)(end - c->answer) + 4;
    if (c->received > 12) c->status = atoi(c->answer + 9);
    for (char *line = c->answer; line < end;) {
        char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        read_header(c, line, (size_t)(stop - line));
        line = stop + 2;
    }
}

/* Whether the chunked body has come to its end: walks the chunks from the first. */
static int is_chunked_end(const struct connection *c) {
    const char *at = c->answer + c->header_length, *end = c->answer + c->received;
    for (;;) {
        const char *line = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!line) return 0;
        size_t size = strtoull(at, NULL, 16);
        at = line + 2;
        if (size == 0) return memmem(at - 2, (size_t)(end - at + 2), "\r\n\r\n", 4) != NULL;
        if ((size_t)(end - at) < size + 2) return 0;
        at += size + 2;
    }
}

static int is_complete(struct connection *c) {
    if (!c->header_length) read_head(c);
    if (!c->header_length) return 0;
    if (c->is_chunked) return is_chunked_end(c);
    return c->received >= c->header_length + c->body_length;
}

static void record(struct connection *c) {
    uint64_t taken = now_ns() - c->started_ns;
    c->is_busy = 0;
    if (c->started_ns < measure_from_ns) return;
    measured++;
    sum_ns += taken;
    if (taken > max_ns) max_ns = taken;
    histogram[bucket_of(taken)]++;
    if (c->status >= 0 && c->status < 600) statuses[c->status]++;
    if (c->has_function_error) function_errors++;
    if ((c->status == 200 || c->status == 202) && !c->has_function_error) good++;
    else if (!first_bad[0]) {
        size_t n = c->received < sizeof first_bad - 1 ? c->received : sizeof first_bad - 1;
        memcpy(first_bad, c->answer, n);
        for (size_t i = 0; i < n; i++) if (first_bad[i] == '"' || first_bad[i] == '\\' || (unsigned char)first_bad[i] < 32) first_bad[i] = ' ';
    }
    if (is_listing) {
        if (listed_count == listed_capacity) {
            listed_capacity = listed_capacity ? listed_capacity * 2 : 1024;
            listed = realloc(listed, listed_capacity * sizeof *listed);
            if (!listed) die("realloc");
        }
        listed[listed_count++] = taken;
    }
}

/* Reads what there is. Returns 1 when an answer is complete, 0 when more is to come, -1 when the connection was lost. */
static int pull(struct connection *c) {
    for (;;) {
        if (c->received == c->capacity) {
            if (c->capacity >= ANSWER_BYTES_MAX) return -1;
            c->capacity = c->capacity ? c->capacity * 2 : 16384;
            c->answer = realloc(c->answer, c->capacity);
            if (!c->answer) die("realloc");
        }
        ssize_t n = recv(c->fd, c->answer + c->received, c->capacity - c->received, 0);
        if (n == 0) return -1;
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        c->received += (size_t)n;
        if (is_complete(c)) return 1;
    }
}

struct plan { uint64_t seconds, count, warm_up_ms, pause_ms; int connection_count, is_sequence; };

static int serve_event(struct connection *c, uint32_t events) {
    if (events & EPOLLOUT) {
        watch(c, EPOLLIN, EPOLL_CTL_MOD);
        if (!push(c)) { count_lost(c); return 1; }
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return 0;
    int outcome = pull(c);
    if (outcome == 0) return 0;
    if (outcome < 0) { count_lost(c); return 1; }
    record(c);
    if (c->is_closing) reopen(c);
    return 1;
}

static uint64_t drive(const struct plan *plan) {
    struct epoll_event events[256];
    uint64_t begin = now_ns(), end = UINT64_MAX;
    measure_from_ns = begin + plan->warm_up_ms * 1000000u;
    uint64_t limit = plan->is_sequence ? request_count : plan->count;
    if (!limit) end = measure_from_ns + plan->seconds * 1000000000u;
    size_t busy = 0;
    for (int i = 0; i < plan->connection_count; i++) {
        open_connection(&connections[i]);
        if (!limit || started < limit) { start_request(&connections[i]); busy++; }
    }
    while (busy) {
        int n = epoll_wait(epoll_fd, events, 256, STALL_MS);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        if (n == 0) { lost += busy; fprintf(stderr, "no answer in %d ms\n", STALL_MS); break; }
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            int was_busy = c->is_busy;
            if (!serve_event(c, events[i].events) || !was_busy) continue;
            busy--;
            if (limit ? started >= limit : now_ns() >= end) continue;
            if (plan->pause_ms) usleep((useconds_t)(plan->pause_ms * 1000));
            start_request(c);
            busy++;
        }
    }
    uint64_t stop = now_ns();
    return stop > measure_from_ns ? stop - measure_from_ns : 1;
}

static void print_result(uint64_t taken_ns) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    double seconds = (double)taken_ns / 1e9;
    printf("{\"seconds\": %.6f, \"answers\": %lu, \"good\": %lu, \"function_errors\": %lu, \"lost\": %lu, \"sent\": %lu,", seconds,
           measured, good, function_errors, lost, started);
    printf(" \"per_second\": %.1f, \"mean_us\": %.1f, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f,",
           (double)measured / seconds, measured ? (double)sum_ns / 1000.0 / (double)measured : 0.0, measured ? quantile_us(0.5) : 0.0,
           measured ? quantile_us(0.9) : 0.0, measured ? quantile_us(0.99) : 0.0, measured ? quantile_us(0.999) : 0.0,
           (double)max_ns / 1000.0);
    printf(" \"cpu_us\": %.0f, \"first_bad\": \"%s\", \"statuses\": {", cpu_us, first_bad);
    const char *comma = "";
    for (int i = 0; i < 600; i++) if (statuses[i]) { printf("%s\"%d\": %lu", comma, i, statuses[i]); comma = ", "; }
    printf("}");
    if (is_listing) {
        printf(", \"latencies_us\": [");
        for (size_t i = 0; i < listed_count; i++) printf("%s%.1f", i ? ", " : "", (double)listed[i] / 1000.0);
        printf("]");
    }
    printf("}\n");
}

int main(int argc, char **argv) {
    struct plan plan = {.seconds = 5, .connection_count = 1};
    const char *host = "127.0.0.1", *file = NULL;
    int port = 0;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (!strcmp(name, "--sequence")) { plan.is_sequence = 1; continue; }
        if (!strcmp(name, "--list")) { is_listing = 1; continue; }
        if (i + 1 == argc) { fprintf(stderr, "%s wants a value\n", name); return 2; }
        const char *value = argv[++i];
        if (!strcmp(name, "--host")) host = value;
        else if (!strcmp(name, "--port")) port = atoi(value);
        else if (!strcmp(name, "--requests")) file = value;
        else if (!strcmp(name, "--connections")) plan.connection_count = atoi(value);
        else if (!strcmp(name, "--seconds")) plan.seconds = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--count")) plan.count = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--warm-up")) plan.warm_up_ms = (uint64_t)(atof(value) * 1000);
        else if (!strcmp(name, "--pause-ms")) plan.pause_ms = strtoull(value, NULL, 10);
        else { fprintf(stderr, "unknown: %s\n", name); return 2; }
    }
    if (!file || !port || plan.connection_count < 1 || plan.connection_count > CONNECTIONS_MAX) { fprintf(stderr, "--port, --requests, --connections 1..4096\n"); return 2; }
    if (plan.is_sequence) plan.connection_count = 1;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) { fprintf(stderr, "not an address: %s\n", host); return 2; }
    signal(SIGPIPE, SIG_IGN);
    read_requests(file);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    print_result(drive(&plan));
    return 0;
}
