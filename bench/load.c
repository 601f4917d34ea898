/*
 * load UPSTREAM_PORT
 *
 * One process that is both ends of a benchmark: a fake OpenAI-compatible upstream on UPSTREAM_PORT and the clients
 * that call it through a gateway (or directly). Being one process, it knows when a streamed frame has arrived, so it
 * can send the next frame of a stream only then: a closed loop over frames, which saturates a gateway without ever
 * letting two frames melt into one read. One thread, epoll, Linux.
 *
 * Commands, one a line on standard input:
 *     run MODE PORT CONNS SECONDS RATE FRAMES INTERVAL_US FILE
 * MODE  closed  every connection sends its next request when the answer is there
 *       rate    RATE requests a second over CONNS connections, latency counted from the time a request was due
 *       frames  CONNS streams of FRAMES frames; a frame is sent when the client has the one before it
 *       paced   CONNS streams of FRAMES frames, one every INTERVAL_US; RATE > 0: ends RATE seconds after all are open
 * FILE  holds the whole HTTP request; "@@@@@@" in it becomes a six-digit slot number ("seed" in the body), by which
 *       the upstream side knows whose stream it serves.
 * Answers are JSON lines: {"event":"ready"} at start, {"event":"open"} when every stream of a streamed run has had
 * its first frame, and {"event":"done",...} with the figures. Times are microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 20000, BUFFER = 16384, SLOT_BASE = 100000, MAX_SAMPLES = 8000000 };
enum mode { CLOSED, RATE, FRAMES, PACED };

/* An upstream connection: the gateway is its client. */
typedef struct {
    char buf[BUFFER];
    int fd, len, slot; /* slot: the stream being served, -1 when none */
    int left;          /* frames still to send */
    long skip;         /* bytes still to come of a body that is larger than the buffer */
    uint64_t due;
} Peer;

/* A client connection: the gateway is its server. */
typedef struct {
    char buf[BUFFER];
    int fd, len, busy, in_body, chunked, ended;
    int chunk_state; /* see dechunk() */
    long need;       /* body bytes (or bytes of this chunk) still to come */
    uint64_t started;
    long frames;
} Client;

static struct {
    enum mode mode;
    int port, conns, frames;
    double seconds, rate;
    uint64_t interval_ns;
    char request[BUFFER];
    int request_len, slot_at;
    int draining, opened;
    uint64_t opened_at; /* when the last stream had its first frame */
    long sent, done, errors, bad, events;
} run;

static Peer *peers[MAX_FD];       /* by file descriptor */
static Peer *by_slot[MAX_FD];     /* streams being served */
static Client *clients;
static int idle[MAX_FD], idle_count;
static uint64_t *latency, *first_byte;
static long latency_count, first_count;
static int epoll_fd, listen_fd, timer_fd;

static const char ANSWER[] =
    "{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\",\"created\":1741569952,"
    "\"model\":\"gpt-4.1-2025-04-14\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
    "\"Hello! I can help with writing, analysis, coding and a great many other things. What shall we do?\","
    "\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
    "\"prompt_tokens\":190,\"completion_tokens\":24,\"total_tokens\":214,\"prompt_tokens_details\":{"
    "\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,"
    "\"audio_tokens\":0}},\"service_tier\":\"default\"}";
static const char COMMON_HEAD[] =
    "HTTP/1.1 200 OK\r\nDate: Tue, 03 Nov 2026 10:00:00 GMT\r\nx-request-id: req_0123456789abcdef\r\n"
    "openai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n";

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void watch(int fd) {
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

static void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int send_all(int fd, const char *data, int size) { return send(fd, data, (size_t)size, MSG_NOSIGNAL) == size; }

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* ------------------------------------------------------------------------------------------------ upstream side */

static void end_stream(Peer *p) {
    if (p->slot >= 0 && by_slot[p->slot] == p) by_slot[p->slot] = NULL;
    p->slot = -1;
}

static void close_peer(Peer *p) {
    end_stream(p);
    peers[p->fd] = NULL;
    close(p->fd);
    free(p);
}

/* The stream's next frame; the last one carries the usage and [DONE]. "@<ns>" in the text is the time it was sent. */
static void send_frame(Peer *p) {
    static const char *start =
        "data: {\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\","
        "\"created\":1741570283,\"model\":\"gpt-4.1-2025-04-14\",\"choices\":[";
    char data[1024], out[1100];
    int n, size;
    if (p->left > 0 && (!run.draining || p->left == run.frames)) { /* never a stream without text */
        n = snprintf(data, sizeof data, "%s{\"index\":0,\"delta\":{\"content\":\" token @%llu \"},\"finish_reason\":null}]}\n\n",
                     start, (unsigned long long)now_ns());
        p->left--;
    } else {
        n = snprintf(data, sizeof data,
                     "%s],\"usage\":{\"prompt_tokens\":190,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\ndata: [DONE]\n\n",
                     start, run.frames, run.frames + 190);
        p->left = -1;
    }
    size = snprintf(out, sizeof out, "%x\r\n%.*s\r\n%s", (unsigned)n, n, data, p->left < 0 ? "0\r\n\r\n" : "");
    if (p->left < 0) end_stream(p);
    if (!send_all(p->fd, out, size)) close_peer(p);
}

static long number_after(const char *text, const char *name) {
    const char *at = strstr(text, name);
    if (!at) return -1;
    at += strlen(name);
    while (*at == ' ' || *at == ':' || *at == '"') at++;
    return strtol(at, NULL, 10);
}

static void answer_whole(Peer *p) {
    char out[4096];
    int n = snprintf(out, sizeof out, "%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", COMMON_HEAD, sizeof ANSWER - 1, ANSWER);
    if (!send_all(p->fd, out, n)) close_peer(p);
}

static void serve(Peer *p, const char *head, const char *body) {
    char out[4096];
    int credential = strstr(head, "Bearer sk-upstream") != NULL;
    int model = strstr(body, "\"model\":\"gpt-4.1\"") || strstr(body, "\"model\": \"gpt-4.1\"");
    if (!credential || !model) { /* the gateway did not do its work */
        int n = snprintf(out, sizeof out, "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
        if (!send_all(p->fd, out, n)) close_peer(p);
        return;
    }
    if (strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true")) {
        long number = number_after(body, "\"seed\"");
        long slot = (number < 0 ? number_after(body, "\"user\":") : number) - SLOT_BASE; /* translated: metadata.user_id */
        int n = snprintf(out, sizeof out, "%sContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n", COMMON_HEAD);
        if (slot < 0 || slot >= MAX_FD || !send_all(p->fd, out, n)) {
            close_peer(p);
            return;
        }
        p->slot = (int)slot;
        p->left = run.frames;
        /* Streams that start together are spread over the interval, so that frames do not come in bursts. */
        p->due = now_ns() + run.interval_ns * (uint64_t)(slot + 1) / (uint64_t)run.conns;
        by_slot[slot] = p;
        send_frame(p);
        return;
    }
    answer_whole(p);
}

static void peer_readable(Peer *p) {
    ssize_t got = recv(p->fd, p->buf + p->len, (size_t)(BUFFER - 1 - p->len), 0);
    if (got <= 0) {
        close_peer(p);
        return;
    }
    if (p->skip > 0) { /* a large body is thrown away; nobody sends more before its answer */
        p->skip -= got;
        if (p->skip <= 0) answer_whole(p);
        return;
    }
    p->len += (int)got;
    p->buf[p->len] = 0;
    for (;;) {
        char *end = strstr(p->buf, "\r\n\r\n");
        if (!end) return;
        char *body = end + 4;
        *end = 0;
        char *length = strcasestr(p->buf, "\r\ncontent-length:");
        int chunked = strcasestr(p->buf, "transfer-encoding: chunked") != NULL;
        long size = length ? atol(length + 17) : 0;
        if (chunked) {
            char *last = strstr(body, "0\r\n\r\n");
            size = last ? last + 5 - body : BUFFER;
        }
        if (!chunked && size > BUFFER / 2) {
            p->skip = size - (p->len - (body - p->buf));
            p->len = 0;
            return;
        }
        if (p->len - (body - p->buf) < size) {
            *end = '\r';
            return;
        }
        int fd = p->fd, rest = p->len - (int)(body - p->buf) - (int)size;
        char saved = body[size];
        body[size] = 0;
        serve(p, p->buf, body);
        if (peers[fd] != p) return;
        body[size] = saved;
        memmove(p->buf, body + size, (size_t)rest + 1);
        p->len = rest;
    }
}

static void accept_peers(void) {
    int fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        no_delay(fd);
        peers[fd] = calloc(1, sizeof(Peer));
        peers[fd]->fd = fd;
        peers[fd]->slot = -1;
        watch(fd);
    }
}

/* -------------------------------------------------------------------------------------------------- client side */

static int client_of_fd[MAX_FD]; /* index + 1, 0 when the descriptor is not a client's */

static void connect_client(int index) {
    Client *c = &clients[index];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)run.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || c->fd >= MAX_FD) die("socket");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    no_delay(c->fd);
    c->len = c->busy = c->in_body = 0;
    client_of_fd[c->fd] = index + 1;
    watch(c->fd);
}

static void close_client(int index) {
    client_of_fd[clients[index].fd] = 0;
    close(clients[index].fd);
}

static void send_request(int index, uint64_t started) {
    Client *c = &clients[index];
    char number[16];
    snprintf(number, sizeof number, "%06d", SLOT_BASE + index);
    if (run.slot_at >= 0) memcpy(run.request + run.slot_at, number, 6);
    c->busy = 1;
    c->started = started;
    c->len = c->in_body = c->ended = c->chunk_state = 0;
    c->frames = 0;
    run.sent++;
    if (!send_all(c->fd, run.request, run.request_len)) {
        run.errors++;
        close_client(index);
        connect_client(index);
    }
}

static void next_request(int index) {
    if (run.draining) return;
    if (run.mode == RATE)
        idle[idle_count++] = index;
    else
        send_request(index, now_ns());
}

/* Removes chunk framing in place; returns the payload's size and sets ended at the last chunk.
 * States: 0 size line, 1 data, 2 the CRLF after data, 3 the empty line at the end. */
static int dechunk(Client *c, char *data, int size) {
    int in = 0, out = 0;
    while (in < size && !c->ended) {
        if (c->chunk_state == 1) {
            long take = size - in < c->need ? size - in : c->need;
            memmove(data + out, data + in, (size_t)take);
            in += (int)take;
            out += (int)take;
            c->need -= take;
            if (c->need == 0) c->chunk_state = 2;
            continue;
        }
        char x = data[in++];
        if (c->chunk_state == 0) {
            if (x == '\n') c->chunk_state = c->need ? 1 : 3;
            else if (x >= '0' && x <= '9') c->need = c->need * 16 + (x - '0');
            else if ((x | 32) >= 'a' && (x | 32) <= 'f') c->need = c->need * 16 + ((x | 32) - 'a' + 10);
        } else if (x == '\n') {
            if (c->chunk_state == 3) c->ended = 1;
            c->chunk_state = 0;
            c->need = 0;
        }
    }
    return out;
}

/* Counts the frames in the payload gathered so far and keeps what may be the start of the next mark. */
static void scan_frames(int index, uint64_t at) {
    Client *c = &clients[index];
    char *from = c->buf, *mark;
    while ((mark = strstr(from, " @"))) {
        char *end = mark + 2;
        while (*end >= '0' && *end <= '9') end++;
        if (*end != ' ') break; /* not all of it is here yet */
        uint64_t sent = strtoull(mark + 2, NULL, 10);
        if (latency_count < MAX_SAMPLES) latency[latency_count++] = at > sent ? at - sent : 0;
        run.events++;
        if (c->frames++ == 0 && ++run.opened == run.conns) {
            run.opened_at = at;
            printf("{\"event\":\"open\"}\n");
        }
        from = end;
        if (run.mode == FRAMES && by_slot[index]) send_frame(by_slot[index]);
    }
    int rest = c->len - (int)(from - c->buf);
    if (rest > 64 && !strstr(from, " @")) {
        from += rest - 64;
        rest = 64;
    }
    memmove(c->buf, from, (size_t)rest + 1);
    c->len = rest;
}

/* The head of the answer; returns 0 while it is incomplete. What follows it stays at the start of buf. */
static int read_head(Client *c, uint64_t at) {
    char *end = strstr(c->buf, "\r\n\r\n");
    if (!end) return 0;
    *end = 0;
    if (strncmp(c->buf + 9, "200", 3) && ++run.bad <= 2) fprintf(stderr, "answer: %.300s | %.300s\n", c->buf, end + 4);
    char *length = strcasestr(c->buf, "\r\ncontent-length:");
    c->chunked = !length;
    c->need = length ? atol(length + 17) : 0;
    c->in_body = 1;
    if (first_count < MAX_SAMPLES) first_byte[first_count++] = at - c->started;
    c->len -= (int)(end + 4 - c->buf);
    memmove(c->buf, end + 4, (size_t)c->len + 1);
    return 1;
}

static void client_readable(int index) {
    Client *c = &clients[index];
    int streamed = run.mode == FRAMES || run.mode == PACED, kept = c->len;
    ssize_t got = recv(c->fd, c->buf + c->len, (size_t)(BUFFER - 1 - c->len), 0);
    uint64_t at = now_ns();
    if (got <= 0) {
        run.errors += c->busy;
        close_client(index);
        connect_client(index);
        next_request(index);
        return;
    }
    c->len += (int)got;
    c->buf[c->len] = 0;
    if (!c->in_body) {
        if (!read_head(c, at)) return;
        kept = 0;
    }
    int fresh = c->len - kept;
    if (c->chunked) {
        fresh = dechunk(c, c->buf + kept, fresh);
    } else {
        c->need -= fresh;
        c->ended = c->need <= 0;
    }
    c->len = kept + fresh;
    c->buf[c->len] = 0;
    if (streamed)
        scan_frames(index, at);
    else
        c->len = 0;
    if (!c->ended) return;
    if (!streamed && latency_count < MAX_SAMPLES) latency[latency_count++] = at - c->started;
    c->busy = 0;
    run.done++;
    next_request(index);
}

/* ---------------------------------------------------------------------------------------------------------- runs */

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double at_share(const uint64_t *values, long count, double share) {
    return count ? (double)values[(long)((double)(count - 1) * share)] / 1000.0 : 0;
}

/* when 0: never. */
static void wake_at(uint64_t when) {
    struct itimerspec t = {{0, 0}, {(time_t)(when / 1000000000ull), (long)(when % 1000000000ull)}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

/* Sends what is due and sets the timer for what comes next. */
static void pace(uint64_t start) {
    uint64_t t = now_ns(), next = t + 100000000ull;
    if (run.mode == RATE && !run.draining) {
        double gap = 1e9 / run.rate;
        while (idle_count && start + (uint64_t)((double)run.sent * gap) <= t) {
            send_request(idle[--idle_count], start + (uint64_t)((double)run.sent * gap));
            t = now_ns();
        }
        if (idle_count) next = start + (uint64_t)((double)run.sent * gap);
    }
    if (run.mode == PACED) {
        for (int slot = 0; slot < run.conns; slot++) {
            Peer *p = by_slot[slot];
            if (!p || p->due > t) continue;
            p->due += run.interval_ns;
            send_frame(p);
        }
        next = t + 500000;
    }
    wake_at(next);
}

static void dispatch(int timeout_ms) {
    struct epoll_event events[256];
    int n = epoll_wait(epoll_fd, events, 256, timeout_ms);
    for (int i = 0; i < n; i++) {
        int fd = events[i].data.fd;
        uint64_t ticks;
        if (fd == listen_fd)
            accept_peers();
        else if (fd == timer_fd)
            (void)!read(timer_fd, &ticks, sizeof ticks);
        else if (client_of_fd[fd])
            client_readable(client_of_fd[fd] - 1);
        else if (peers[fd])
            peer_readable(peers[fd]);
    }
}

/* When the time is up, streams get their last frame at their next turn; a run that hangs is cut after 20 s more. */
static void perform(void) {
    latency_count = first_count = 0;
    idle_count = 0;
    clients = calloc((size_t)run.conns, sizeof(Client));
    for (int i = 0; i < run.conns; i++) {
        connect_client(i);
        if (i % 64 == 63) dispatch(0);
    }
    uint64_t start = now_ns(), end = start + (uint64_t)(run.seconds * 1e9);
    for (int i = 0; i < run.conns; i++) {
        next_request(i);
        if (i % 64 == 63) dispatch(0);
    }
    uint64_t t;
    while ((t = now_ns()) < end || (run.done + run.errors < run.sent && t < end + 20000000000ull)) {
        if (run.mode == PACED && run.rate > 0 && run.opened_at) end = run.opened_at + (uint64_t)(run.rate * 1e9);
        run.draining = t >= end;
        pace(start);
        dispatch(100);
    }
    double took = (double)(now_ns() - start) / 1e9;
    uint64_t ticks;
    wake_at(0);
    (void)!read(timer_fd, &ticks, sizeof ticks);
    for (int i = 0; i < run.conns; i++) close_client(i);
    free(clients);
    qsort(latency, (size_t)latency_count, sizeof *latency, by_value);
    qsort(first_byte, (size_t)first_count, sizeof *first_byte, by_value);
    printf("{\"event\":\"done\",\"done\":%ld,\"sent\":%ld,\"errors\":%ld,\"bad\":%ld,\"events\":%ld,\"seconds\":%.3f,"
           "\"per_second\":%.1f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"first_p50_us\":%.1f,\"first_p99_us\":%.1f}\n",
           run.done, run.sent, run.errors, run.bad, run.events, took, (double)run.done / took,
           at_share(latency, latency_count, .5), at_share(latency, latency_count, .9), at_share(latency, latency_count, .99),
           at_share(latency, latency_count, 1), at_share(first_byte, first_count, .5), at_share(first_byte, first_count, .99));
}

static int read_command(char *line) {
    char mode[16], file[4096];
    memset(&run, 0, sizeof run);
    double interval_us;
    if (sscanf(line, "run %15s %d %d %lf %lf %d %lf %4095s", mode, &run.port, &run.conns, &run.seconds, &run.rate, &run.frames,
               &interval_us, file) != 8 || run.conns < 1 || run.conns > 8000)
        return 0;
    run.interval_ns = (uint64_t)(interval_us * 1000);
    run.mode = !strcmp(mode, "closed") ? CLOSED : !strcmp(mode, "rate") ? RATE : !strcmp(mode, "frames") ? FRAMES : PACED;
    FILE *f = fopen(file, "r");
    if (!f) return 0;
    run.request_len = (int)fread(run.request, 1, BUFFER - 1, f);
    fclose(f);
    char *slot = strstr(run.request, "@@@@@@");
    run.slot_at = slot ? (int)(slot - run.request) : -1;
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 2) die("usage: load UPSTREAM_PORT");
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    latency = malloc(MAX_SAMPLES * sizeof *latency);
    first_byte = malloc(MAX_SAMPLES * sizeof *first_byte);
    epoll_fd = epoll_create1(0);
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listen_fd, (struct sockaddr *)&at, sizeof at) || listen(listen_fd, 4096)) die("bind");
    watch(listen_fd);
    watch(timer_fd);
    printf("{\"event\":\"ready\"}\n");
    /* Between runs the upstream goes on answering: the gateway may be asked by hand. */
    struct epoll_event input = {.events = EPOLLIN, .data.fd = 0};
    char line[8192];
    int used = 0;
    for (;;) {
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &input);
        for (;;) {
            struct epoll_event e;
            if (epoll_wait(epoll_fd, &e, 1, -1) < 1) continue;
            if (e.data.fd == 0) break;
            if (e.data.fd == listen_fd) accept_peers();
            else if (peers[e.data.fd]) peer_readable(peers[e.data.fd]);
        }
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, 0, NULL);
        ssize_t got = read(0, line + used, sizeof line - 1 - (size_t)used);
        if (got <= 0) return 0; /* the harness is gone */
        used += (int)got;
        line[used] = 0;
        if (!strchr(line, '\n')) continue;
        used = 0;
        if (read_command(line)) perform();
        else printf("{\"event\":\"error\",\"line\":\"unreadable command or file\"}\n");
    }
}
