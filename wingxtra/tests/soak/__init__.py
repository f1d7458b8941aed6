"""`make soak`: the stack under a steady load without faults. What must stay flat is measured."""
