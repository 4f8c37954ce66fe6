/*
 * Inferences of one step whose tiles both processors take by tickets, as in tickets.cc, hetcomp_next
 * of prologue.cc and session_run.cc: `taken` says whether there is one left, and each side counts
 * its own from its end. The host resets the counters for each inference.
 *
 * A kernel of the CPU may fail at each of its tickets: then the host stops the device, and waits
 * until nothing runs there, before the next inference. A time-out may come at any moment, in the
 * middle of a ticket too, which is more than can happen: then the host leaves counters and memory
 * to the late kernel, and the CPU computes the inference again in memory of its own. Once the
 * device is idle, it is taken back with new ones. With CLOCK 0 the host has no time-out, so that
 * only the protocol itself may end its waits.
 *
 * BUG: 1  the counter is read and written apart     2  the GPU counts what was asked for in vain
 *      3  the CPU's threads share no counter        4  the last ticket is not asked for
 *      5  both leave the last ticket to the other   6  a time-out leaves no memory behind
 *      7  a failure is not followed by a drain      8  the GPU's first work-item signals for both
 *      9  the device is taken back at once, with what it had
 *
 * LEAVE: so many of the last tickets the GPU leaves to the CPU.
 */
#ifndef BUG
#define BUG 0
#endif
#ifndef LEAVE
#define LEAVE 0
#endif
#ifndef CLOCK
#define CLOCK 1
#endif
#define INFERENCES 2
#define TICKETS 2
#define THREADS 2          /* of the CPU, and work-items of the GPU */
#define PLACES 4           /* two for each inference that times out */
#define TIMES(number) times[place * TICKETS + (number)]
#define IDLE (running == 0 && empty(launches))

byte place = 0;            /* of counters and memory; the later ones are allocated anew */
byte taken[PLACES] = 0, from_end[PLACES] = 0, from_begin = 0;
byte times[PLACES * TICKETS] = 0;  /* how often each tile was computed */
byte ended[PLACES] = 0;    /* work-items that have ended, all of them: the GPU's epoch */
bool abort[PLACES] = false;
byte running = 0;          /* work-items that the device executes */
byte idle_threads = THREADS;
bool failed = false;

chan launches = [THREADS] of { byte };   /* place */
chan steps = [THREADS] of { byte };

/* Looks before it takes: another one may take in between, so that it leaves fewer then. */
inline take(at, leave, order) {
  if
  :: (leave) > 0 && taken[at] + (leave) >= TICKETS -> order = TICKETS
  :: BUG == 1 -> order = taken[at]; taken[at] = order + 1
  :: else -> atomic { order = taken[at]; taken[at]++ }
  fi
}

active [THREADS] proctype cpu() {
  byte at, order, number;
end:
  do
  :: steps ? at ->
     do
     :: take(at, BUG == 5, order);
        if
        :: order >= TICKETS - (BUG == 4) -> break
        :: else
        fi;
        if
        :: BUG == 3 -> number = order
        :: else -> atomic { number = from_begin; from_begin++ }
        fi;
        assert(number < TICKETS);
        if
        :: times[at * TICKETS + number]++
        :: failed = true; break
        fi
     od;
     atomic { order = 0; number = 0; at = 0; idle_threads++ }
  od
}

active [THREADS] proctype gpu() {
  byte at, order, number;
end:
  do
  :: atomic { launches ? at -> running++ };
     if
     :: abort[at] -> skip                  /* looks once, before it begins */
     :: else ->
        do
        :: take(at, LEAVE + (BUG == 5), order);
           if
           :: BUG == 2 -> atomic { number = from_end[at]; from_end[at]++ }
           :: else
           fi;
           if
           :: order >= TICKETS - (BUG == 4) -> break
           :: else
           fi;
           if
           :: BUG != 2 -> atomic { number = from_end[at]; from_end[at]++ }
           :: else
           fi;
           assert(number < TICKETS);
           times[at * TICKETS + TICKETS - 1 - number]++
        od;
        ended[at]++
     fi;
     atomic { order = 0; number = 0; at = 0; running-- }
  od
}

inline forget_outputs() {
  number = 0;
  do
  :: number < TICKETS -> TIMES(number) = 0; number++
  :: else -> number = 0; break
  od
}

inline assert_outputs() {
  number = 0;
  do
  :: number < TICKETS -> assert(TIMES(number) == 1); number++
  :: else -> number = 0; break
  od
}

inline compute_alone() {
  number = 0;
  do
  :: number < TICKETS -> d_step { TIMES(number)++; number++ }
  :: else -> break
  od
}

inline give_up() {
  abort[place] = true;
  on_device = false;
  if
  :: BUG == 6 -> skip
  :: else -> place++
  fi
}

inline begin() {
  taken[place] = 0;
  from_end[place] = 0;
  from_begin = 0;
  ended[place] = 0;
  abort[place] = false;
  failed = false;
  launches ! place;
  launches ! place;
  idle_threads = 0;
  steps ! place;
  steps ! place
}

active proctype host() {
  byte inference = 0, number;
  bool on_device = true;
  do
  :: inference < INFERENCES ->
     inference++;
     if
     :: BUG == 9 && !on_device -> place--; on_device = true
     :: !on_device && IDLE -> place++; on_device = true
     :: true -> skip
     fi;
     atomic { forget_outputs() };
     if
     :: on_device ->
        atomic { begin() };
        (idle_threads == THREADS);
        if
        :: failed ->
           abort[place] = true;
           if
           :: BUG == 7 || IDLE -> skip     /* the caller gets an error */
           :: CLOCK == 1 -> give_up()
           fi
        :: else ->
           if
           :: ended[place] == THREADS || (BUG == 8 && ended[place] > 0) -> atomic { assert_outputs() }
           :: CLOCK == 1 -> give_up()
           fi
        fi
     :: else
     fi;
     if
     :: !on_device ->
        atomic { forget_outputs() };
        compute_alone();
        atomic { assert_outputs() }        /* no late kernel has written there */
     :: else
     fi
  :: else -> break
  od
}
