/*
 * One step whose tiles both processors take by tickets, as in tickets.cc and hetcomp_next of
 * prologue.cc: `taken` says whether there is one left, and each side counts its own from its end.
 *
 * BUG: 1  the counter is read and written apart     2  the GPU counts what was asked for in vain
 *      3  the CPU's threads share no counter        4  the last ticket is not asked for
 *      5  both leave the last ticket to the other
 *
 * LEAVE: so many of the last tickets the GPU leaves to the CPU.
 */
#ifndef BUG
#define BUG 0
#endif
#ifndef LEAVE
#define LEAVE 0
#endif
#define TICKETS 4

byte taken = 0, from_begin = 0, from_end = 0;
byte times[TICKETS] = 0;   /* how often each was run */
byte ended = 0;

/* Looks before it takes: another one may take in between, so that it leaves fewer then. */
inline take(leave, number) {
  if
  :: (leave) > 0 && taken + (leave) >= TICKETS -> number = TICKETS
  :: BUG == 1 -> number = taken; taken = number + 1
  :: else -> atomic { number = taken; taken++ }
  fi
}

/* Threads of the CPU, and work-items of the GPU. */
active [2] proctype cpu() {
  byte order, number;
  do
  :: take(BUG == 5, order);
     if
     :: order >= TICKETS - (BUG == 4) -> break
     :: else
     fi;
     if
     :: BUG == 3 -> number = order
     :: else -> atomic { number = from_begin; from_begin++ }
     fi;
     assert(number < TICKETS);
     times[number]++
  od;
  ended++
}

active [2] proctype gpu() {
  byte order, number;
  do
  :: take(LEAVE + (BUG == 5), order);
     if
     :: BUG == 2 -> atomic { number = from_end; from_end++ }
     :: else
     fi;
     if
     :: order >= TICKETS - (BUG == 4) -> break
     :: else
     fi;
     if
     :: BUG != 2 -> atomic { number = from_end; from_end++ }
     :: else
     fi;
     assert(number < TICKETS);
     times[TICKETS - 1 - number]++
  od;
  ended++
}

active proctype end() {
  byte number = 0;
  (ended == 4);
  do
  :: number < TICKETS -> assert(times[number] == 1); number++
  :: else -> break
  od
}
