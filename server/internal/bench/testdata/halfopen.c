// The reference of the benchmark: handshakes without the last ACK, as cheap as a C program gets them from this kernel. It keeps a
// number of them in flight toward 64 sockets of its own on loopback, and prints one line of key=value figures.
//
//   fresh  a socket for each: socket, TCP_QUICKACK=0, SO_LINGER, connect, epoll_ctl, SO_ERROR, close
//   reuse  sockets that live on, each with TCP_DEFER_ACCEPT: connect, TCP_INFO, connect(AF_UNSPEC)
//
// It answers to nobody and has no timeouts: what an engine has to do beside is what the comparison shows. Each thread makes some probes
// first, which open its sockets and are not counted.
//
// usage: halfopen MODE FAMILY TARGETS PROBES IN_FLIGHT THREADS
//        MODE fresh|reuse  FAMILY ipv4|ipv6  TARGETS open|refused
#define _GNU_SOURCE
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TARGETS 64
#define BURST 16  // connects between two looks at the answers
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51  // Linux 6.3
#endif

struct target {
  int fd;
  struct sockaddr_storage at;
};

struct worker {
  pthread_t thread;
  int number, epoll;
  int *sockets;  // by place
  int *spare;    // places without a probe in flight, a stack
  char *flying;  // by place
  int spares;
  long left;  // probes to make after the warm-up
  long done, wrong;
  double began, ended, cpu;  // seconds; this thread's own
};

static int fresh, family, refused, places;
static unsigned port_range;
static struct target targets[TARGETS];
static pthread_barrier_t warm;

static void must(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(2);
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static double wall(void) { return seconds(CLOCK_MONOTONIC); }

// User and system; getrusage(2) knows a running thread only to the last tick.
static double cpu(void) { return seconds(CLOCK_THREAD_CPUTIME_ID); }

// Ports that are bound and, unless they are to refuse, listen; nobody accepts.
static void open_targets(void) {
  for (int i = 0; i < TARGETS; i++) {
    struct target *t = &targets[i];
    struct sockaddr_in *v4 = (struct sockaddr_in *)&t->at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&t->at;
    t->at.ss_family = family;
    if (family == AF_INET6)
      v6->sin6_addr = in6addr_loopback;
    else
      v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK + i % 8);
    socklen_t length = sizeof t->at;
    t->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    must(t->fd >= 0, "socket");
    must(bind(t->fd, (struct sockaddr *)&t->at, length) == 0, "bind");
    must(refused || listen(t->fd, 4096) == 0, "listen");
    must(getsockname(t->fd, (struct sockaddr *)&t->at, &length) == 0, "getsockname");
  }
}

static void new_socket(struct worker *w, int place) {
  const int on = 1, off = 0;
  const struct linger reset = {.l_onoff = 1};
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  if (fresh) {
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
  } else {
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &port_range, sizeof port_range);
  }
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  w->sockets[place] = fd;
}

static void watch(struct worker *w, int place) {
  struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u32 = place};
  must(epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->sockets[place], &event) == 0, "epoll_ctl");
}

static void begin(struct worker *w, long number) {
  int place = w->spare[--w->spares];
  const struct target *to = &targets[(number + w->number * 7) % TARGETS];
  if (fresh) new_socket(w, place);
  int err = connect(w->sockets[place], (const struct sockaddr *)&to->at, sizeof to->at);
  must(err == 0 || errno == EINPROGRESS || errno == ECONNREFUSED, "connect");
  if (fresh) watch(w, place);
  w->flying[place] = 1;
}

static int error_of(int fd) {
  int err = 0;
  socklen_t length = sizeof err;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length);
  return err;
}

static void end(struct worker *w, const struct epoll_event *event) {
  int place = event->data.u32;
  if (!w->flying[place]) return;  // a socket that was never connected says so once
  int fd = w->sockets[place], open = event->events == EPOLLOUT;
  if (fresh) {
    int err = error_of(fd);
    w->wrong += refused ? err != ECONNREFUSED : !open || err != 0;
    close(fd);
  } else {
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    struct tcp_info info;
    socklen_t length = sizeof info;
    if (refused) open = error_of(fd) != ECONNREFUSED;
    w->wrong += open == refused;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    connect(fd, &nowhere, sizeof nowhere);
  }
  w->flying[place] = 0;
  w->spare[w->spares++] = place;
  w->done++;
}

// Makes some probes, and returns when all have their answers; or after a minute, with fewer.
static void make(struct worker *w, long probes) {
  struct epoll_event events[1024];
  const double latest = wall() + 60;
  const long enough = w->done + probes;
  long begun = 0;
  while (w->done < enough && wall() < latest) {
    for (int burst = BURST; burst > 0 && w->spares > 0 && begun < probes; burst--) begin(w, begun++);
    int idle = w->spares == 0 || begun == probes;
    int n = epoll_wait(w->epoll, events, 1024, idle ? 1000 : 0);
    for (int i = 0; i < n; i++) end(w, &events[i]);
  }
}

static void *work(void *arg) {
  struct worker *w = arg;
  w->epoll = epoll_create1(EPOLL_CLOEXEC);
  must(w->epoll >= 0, "epoll_create1");
  w->sockets = calloc(places, sizeof *w->sockets);
  w->spare = calloc(places, sizeof *w->spare);
  w->flying = calloc(places, 1);
  for (int place = 0; place < places; place++) {
    w->spare[w->spares++] = place;
    if (fresh) continue;
    new_socket(w, place);
    watch(w, place);
  }
  make(w, w->left < 5000 ? w->left : 5000);
  w->done = 0;
  pthread_barrier_wait(&warm);
  w->began = wall();
  w->cpu = -cpu();
  make(w, w->left);
  w->cpu += cpu();
  w->ended = wall();
  return NULL;
}

static void read_port_range(void) {
  unsigned low = 32768, high = 60999;
  FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
  if (file != NULL) {
    must(fscanf(file, "%u %u", &low, &high) == 2, "ip_local_port_range");
    fclose(file);
  }
  port_range = high << 16 | low;
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: %s fresh|reuse ipv4|ipv6 open|refused PROBES IN_FLIGHT THREADS\n", argv[0]);
    return 2;
  }
  fresh = strcmp(argv[1], "fresh") == 0;
  family = strcmp(argv[2], "ipv6") == 0 ? AF_INET6 : AF_INET;
  refused = strcmp(argv[3], "refused") == 0;
  long probes = atol(argv[4]);
  int threads = atoi(argv[6]);
  places = atoi(argv[5]);
  must(probes > 0 && places > 0 && threads > 0, "arguments");
  read_port_range();
  open_targets();
  must(pthread_barrier_init(&warm, NULL, threads) == 0, "barrier");
  struct worker *workers = calloc(threads, sizeof *workers);
  for (int i = 0; i < threads; i++) {
    workers[i].number = i;
    workers[i].left = probes / threads;
    must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "thread");
  }
  double began = 0, ended = 0, used = 0;
  long done = 0, wrong = 0, noticed = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(workers[i].thread, NULL);
    done += workers[i].done;
    wrong += workers[i].wrong;
    used += workers[i].cpu;
    if (i == 0 || workers[i].began < began) began = workers[i].began;
    if (workers[i].ended > ended) ended = workers[i].ended;
  }
  for (int i = 0; i < TARGETS; i++)
    while (!refused && accept(targets[i].fd, NULL, NULL) >= 0) noticed++;
  wrong += probes / threads * threads - done;
  printf("probes=%ld wrong=%ld noticed=%ld probes_per_s=%.0f cpu_us_per_probe=%.3f\n", done, wrong, noticed, done / (ended - began),
         used * 1e6 / done);
  return 0;
}
