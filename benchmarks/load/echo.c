/* The floor: an HTTP/1.1 server that reads a request and answers what an empty function answers, and nothing else.
 *
 *   echo --port P [--host A]
 *
 * Keep-alive and pipelining; Content-Length bodies only. The answer has the headers of an Invoke answer, so that the
 * generator does the same work. One thread, one epoll. Port 0 takes any; the port is printed on the first line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_BYTES_MAX 65536

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n"
    "x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\nX-Amz-Executed-Version: $LATEST\r\n"
    "X-Amzn-Trace-Id: Root=1-00000000-000000000000000000000000;Sampled=0\r\n\r\nnull";

struct client { int fd; size_t filled; char bytes[REQUEST_BYTES_MAX]; };

static void die(const char *what) { perror(what); exit(2); }

/* Length of the first whole request, 0 when more bytes are needed. */
static size_t request_length(const char *bytes, size_t filled) {
    const char *end = memmem(bytes, filled, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t length = (size_t)(end - bytes) + 4;
    for (const char *line = bytes; line < end; line += 2) {
        if (!strncasecmp(line, "content-length:", 15)) { length += strtoull(line + 15, NULL, 10); break; }
        line = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
    }
    return filled >= length ? length : 0;
}

/* Returns 0 when the client has gone or sends too much. */
static int serve(struct client *c) {
    ssize_t n = recv(c->fd, c->bytes + c->filled, REQUEST_BYTES_MAX - c->filled, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return 0;
    c->filled += (size_t)n;
    for (size_t length; (length = request_length(c->bytes, c->filled)) != 0;) {
        if (send(c->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof answer - 1)) return 0;
        memmove(c->bytes, c->bytes + length, c->filled - length);
        c->filled -= length;
    }
    return c->filled < REQUEST_BYTES_MAX;
}

int main(int argc, char **argv) {
    const char *host = "127.0.0.1";
    int port = 0, one = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--host")) host = argv[i + 1];
        else if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) { fprintf(stderr, "not an address: %s\n", host); return 2; }
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct client *c = events[i].data.ptr;
            if (c) {
                if (!serve(c)) { close(c->fd); free(c); }
                continue;
            }
            int fd = accept(listener, NULL, NULL);
            if (fd < 0) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            c = malloc(sizeof *c);
            if (!c) die("malloc");
            c->fd = fd;
            c->filled = 0;
            event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
        }
    }
}
