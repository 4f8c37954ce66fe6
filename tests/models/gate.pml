/*
 * Epochs, gate and abort between host and device, as in gpu_channel.cc, prologue.cc and sync.h.
 *
 * Each inference has a step of the CPU, a step of the GPU that waits for it, and the CPU's wait for
 * that. It stands behind a gate, which is enqueued either for the inference or ahead of it; then the
 * gate may become void before the host opens it, and the host enqueues anew. Every wait with a time
 * limit may end at any moment, which is more than can happen; with CLOCK 0 the host has none, so that
 * nothing but the protocol itself may end its waits. Epochs count modulo 8, there 2^32.
 *
 * BUG breaks the protocol, so that the assertions can be seen to see it:
 *   1  the host opens the gate by a plain store      2  the gate's kernel closes it by a plain store
 *   3  a kernel that gives up does not abort         4  the host opens before it publishes the bases
 *   5  the GPU signals before it stores its answer   6  a drain does not wait for the queue
 *   7  behind a void gate kernels run
 */
#ifndef BUG
#define BUG 0
#endif
#ifndef CLOCK
#define CLOCK 1
#endif
#define INFERENCES 3
#define REACHED(epoch, target) (((8 + epoch - (target)) % 8) < 4)
#define NEXT(epoch) ((epoch + 1) % 8)

mtype = { closed, void, open, gate_kernel, step_kernel, drain_kernel };

chan queue = [4] of { mtype };   /* in order */
mtype gate = void;
bool gate_passed = true;         /* the latest gate's kernel has ended */
bool live = false;                /* what it decided for the launches behind it */
byte cpu_base = 0, cpu_epoch = 0, gpu_epoch = 0;
bool abort = false;
byte given = 0, input = 0, answer = 0;  /* what the CPU asks, and gets */
bool running = false;            /* the device executes a step */
byte stepped = 0;                /* steps executed in this inference */
bool over = false;

active proctype device() {
  mtype seen, kernel;
  byte base;
  do
  :: atomic { queue ? kernel -> running = (kernel == step_kernel) };
     if
     :: kernel == gate_kernel ->
        if
        :: gate != closed -> seen = gate
        :: true ->               /* the poll limit, or an abort */
           if
           :: BUG == 2 -> seen = gate; gate = void
           :: else -> atomic { seen = gate; if :: gate == closed -> gate = void :: else fi }
           fi;
           if :: seen == closed -> seen = void :: else fi
        fi;
        live = (seen == open || BUG == 7);
        gate_passed = true
     :: kernel == step_kernel ->
        if
        :: !live || abort -> skip
        :: else ->
           base = cpu_base;
           if
           :: REACHED(cpu_epoch, NEXT(base)) -> skip
           :: abort -> skip
           :: BUG != 3 -> abort = true
           :: BUG == 3 -> skip
           fi;
           if
           :: !REACHED(cpu_epoch, NEXT(base)) -> skip
           :: else ->
              stepped++;
              assert(stepped == 1);          /* no launch runs twice */
              if
              :: BUG == 5 -> gpu_epoch = NEXT(base); answer = input
              :: else -> answer = input; gpu_epoch = NEXT(base)
              fi
           fi
        fi
     :: kernel == drain_kernel -> gpu_epoch = (cpu_base + 2) % 8
     fi;
     running = false
  :: over && empty(queue) -> break
  od
}

inline enqueue() {
  (gate_passed);                 /* a time-out here is the same as one below */
  assert(live == opened);        /* both sides have decided alike */
  gate_passed = false;
  gate = closed;
  queue ! gate_kernel;
  queue ! step_kernel
}

inline try_open() {
  if
  :: BUG == 4 ->
     atomic { opened = (gate == closed); if :: opened -> gate = open :: else fi };
     cpu_base = base
  :: BUG == 1 -> cpu_base = base; opened = (gate == closed); gate = open
  :: else -> cpu_base = base;
     atomic { opened = (gate == closed); if :: opened -> gate = open :: else fi }
  fi
}

active proctype host() {
  byte inference = 0, base = 0;
  bool opened = false, ahead = false, gave_up = false;
  do
  :: inference < INFERENCES ->
     inference++;
     stepped = 0;
     answer = 0;
     if :: ahead -> try_open() :: else fi;
     if
     :: !ahead || !opened -> enqueue(); try_open()
     :: else
     fi;
     if
     :: !opened -> gave_up = true            /* "the gate's kernel gave up waiting" */
     :: else ->
        input = inference;                   /* the CPU's step, and its signal */
        cpu_epoch = NEXT(base);
        ahead = false;
        if
        :: gate_passed -> enqueue(); ahead = true     /* the next inference, in idle time */
        :: true -> skip
        fi;
        if
        :: REACHED(gpu_epoch, NEXT(base)) ->
           assert(answer == inference);      /* the answer is this inference's */
           base = NEXT(base)
        :: abort -> gave_up = true
        :: CLOCK == 1 -> gave_up = true      /* the time-out */
        fi
     fi;
     if
     :: gave_up -> break
     :: else
     fi
  :: else -> break
  od;
  /* The end, or the way out: void the gate, abort, wait until the queue is empty. */
  atomic { if :: gate == closed -> gate = void :: else fi };
  abort = true;
  cpu_base = base;
  queue ! drain_kernel;
  if
  :: BUG == 6 -> skip
  :: else -> (REACHED(gpu_epoch, (base + 2) % 8))
  fi;
  assert(!running && empty(queue));          /* memory may be freed */
  over = true
}
