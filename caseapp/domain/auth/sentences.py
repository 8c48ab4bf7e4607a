"""Sentences that many people know, and so try as passwords: sayings, first lines, rhymes, prayers, films, speeches.

What is known by heart is guessed first (NIST SP 800-63B-4, 3.1.1.2: passwords that are commonly used or
expected). Lines of songs and films are given by a few words only.
"""

from __future__ import annotations

KNOWN = """
to be or not to be
that is the question
the quick brown fox
jumps over the lazy dog
may the force be with you
four score and seven years ago
it was the best of times
it was the worst of times
all you need is love
once upon a time
in a land far far away
a long time ago in a galaxy
happily ever after
our father who art in heaven
hallowed be thy name
thy kingdom come
give us this day our daily bread
the lord is my shepherd
i shall not want
in the beginning god created
let there be light
for god so loved the world
jesus loves me this i know
god bless america
god save the king
god save the queen
happy birthday to you
merry christmas and a happy new year
we wish you a merry christmas
twinkle twinkle little star
how i wonder what you are
mary had a little lamb
its fleece was white as snow
humpty dumpty sat on a wall
row row row your boat
baa baa black sheep
the wheels on the bus
london bridge is falling down
roses are red
violets are blue
we the people of the united states
we hold these truths
ask not what your country can do
i have a dream that one day
one small step for man
never give up never surrender
keep calm and carry on
you shall not pass
winter is coming
i am your father
let it be let it be
i want to hold your hand
i will always love you
dont stop believing
is this the real life
is this just fantasy
imagine all the people
here comes the sun
yellow submarine
stairway to heaven
another brick in the wall
home is where the heart is
home sweet home
an apple a day
keeps the doctor away
the early bird catches the worm
actions speak louder than words
better late than never
practice makes perfect
time heals all wounds
love is all you need
love conquers all
live laugh love
carpe diem
what goes around comes around
where there is a will there is a way
when life gives you lemons
the truth will set you free
the rain in spain
elementary my dear watson
it is a truth universally acknowledged
call me ishmael
it was a dark and stormy night
two roads diverged
shall i compare thee to a summers day
i think therefore i am
knowledge is power
i love you to the moon and back
i love my children
i love my husband
i love my wife
open sesame
let me in please
this is my password
my password is
this is a password
this is a very long password
i forgot my password
you will never guess
please let me in
letmeinletmein
lorem ipsum dolor sit amet
en un lugar de la mancha
ser o no ser
esa es la cuestion
padre nuestro que estas en
dios te salve maria
cumpleanos feliz
feliz navidad
erase una vez
habia una vez
mas vale tarde que nunca
al mal tiempo buena cara
te quiero mucho
esta es mi contrasena
mi contrasena es
"""
SENTENCES = tuple("".join(line.split()) for line in KNOWN.split("\n") if line)
"""Without blanks, as `credentials` compares them."""

ABOUT_THIS = (
    "case", "cases", "management", "caseapp", "coach", "coaching", "practice", "client", "clients", "password",
    "passphrase", "passwort", "contraseña", "welcome", "login", "secret", "application", "supervisor", "admin",
)  # fmt: skip
"""What a password of this program can be expected to be about."""
