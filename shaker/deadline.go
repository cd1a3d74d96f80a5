package shaker

// deadlines holds at most one deadline per slot and gives them back earliest first. It has no clock of its own: callers pass
// now. A heap of four children a node, with the place of each slot kept beside it so that any can be removed.
// The zero value is empty.
type deadlines struct {
	heap  []deadline
	place []int32 // of a slot: its index in heap plus one; 0 where it has no deadline
}

type deadline struct {
	at   int64
	slot int32
}

// set gives a slot its deadline; it must have none.
func (d *deadlines) set(slot int32, at int64) {
	for int(slot) >= len(d.place) {
		d.place = append(d.place, 0)
	}
	d.heap = append(d.heap, deadline{})
	d.up(len(d.heap)-1, deadline{at, slot})
}

// remove takes a slot's deadline away, if it has one.
func (d *deadlines) remove(slot int32) {
	if int(slot) >= len(d.place) || d.place[slot] == 0 {
		return
	}
	i := int(d.place[slot]) - 1
	d.place[slot] = 0
	last := len(d.heap) - 1
	moved := d.heap[last]
	d.heap = d.heap[:last]
	if i == last {
		return
	}
	if i > 0 && moved.at < d.heap[(i-1)/4].at {
		d.up(i, moved)
	} else {
		d.down(i, moved)
	}
}

// next returns the earliest deadline and whether there is one.
func (d *deadlines) next() (deadline, bool) {
	if len(d.heap) == 0 {
		return deadline{}, false
	}
	return d.heap[0], true
}

func (d *deadlines) up(i int, x deadline) {
	for i > 0 {
		parent := (i - 1) / 4
		if d.heap[parent].at <= x.at {
			break
		}
		d.put(i, d.heap[parent])
		i = parent
	}
	d.put(i, x)
}

func (d *deadlines) down(i int, x deadline) {
	for {
		first := 4*i + 1
		if first >= len(d.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(d.heap)); c++ {
			if d.heap[c].at < d.heap[least].at {
				least = c
			}
		}
		if d.heap[least].at >= x.at {
			break
		}
		d.put(i, d.heap[least])
		i = least
	}
	d.put(i, x)
}

func (d *deadlines) put(i int, x deadline) {
	d.heap[i] = x
	d.place[x.slot] = int32(i) + 1
}
