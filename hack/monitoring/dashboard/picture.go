package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"sort"
	"time"
)

// A cell of the grid, the gap between panels, and the space within one, in pixels.
const (
	cell, row   = 50, 22
	gap, margin = 6, 12
	text        = 12
)

var colours = []string{"#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#96d98d", "#ffee52", "#ca95e5"}

// The dashboard as an SVG, over the scrapes of this file.
func picture(path string) ([]byte, error) {
	scrapes, err := read(path)
	if err != nil {
		return nil, err
	}
	places := places()
	last := len(panels) - 1
	height := int(places[last].y+panels[last].h)*row + gap
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="%d">`+"\n", 24*cell+gap, height, text)
	fmt.Fprintf(&out, "<rect width=\"100%%\" height=\"100%%\" fill=\"#111217\"/>\n")
	for number, panel := range panels {
		lines := []line{}
		for _, query := range panel.queries {
			found, err := scrapes.ask(query)
			if err != nil {
				return nil, err
			}
			lines = append(lines, found...)
		}
		sort.SliceStable(lines, func(a, b int) bool { return !panel.stat && lines[a].legend < lines[b].legend })
		if !panel.stat {
			lines = moving(lines)
		}
		at := places[number]
		box := box{int(at.x)*cell + gap, int(at.y)*row + gap, int(panel.w)*cell - gap, int(panel.h)*row - gap}
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%d" height="%d" rx="2" fill="#181b1f" stroke="#24272d"/>`+"\n", box.x, box.y, box.w, box.h)
		label(&out, box.x+margin, box.y+20, "#ccccdc", "start", text+1, panel.title)
		switch {
		case len(lines) == 0:
			label(&out, box.x+box.w/2, box.y+box.h/2+text, "#8e8e8e", "middle", text, "No data")
		case panel.stat:
			stats(&out, box, panel.unit, lines)
		default:
			graph(&out, box, panel.unit, lines, scrapes.begin, scrapes.end)
		}
	}
	out.WriteString("</svg>\n")
	return out.Bytes(), nil
}

// Without those that were 0 all the time, unless all were.
func moving(lines []line) []line {
	found := []line{}
	for _, line := range lines {
		for _, point := range line.points {
			if point.value != 0 {
				found = append(found, line)
				break
			}
		}
	}
	if len(found) == 0 {
		return lines
	}
	return found
}

type box struct{ x, y, w, h int }

func label(out *bytes.Buffer, x, y int, colour, anchor string, size int, words string) {
	fmt.Fprintf(out, `<text x="%d" y="%d" fill="%s" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, colour, anchor, size, html.EscapeString(words))
}

// The last value of each line.
func stats(out *bytes.Buffer, box box, unit string, lines []line) {
	width := box.w / len(lines)
	for number, line := range lines {
		x := box.x + number*width + width/2
		label(out, x, box.y+box.h/2+18, colours[number%len(colours)], "middle", 24, amount(line.points[len(line.points)-1].value, unit))
		if len(lines) > 1 {
			label(out, x, box.y+box.h-8, "#8e8e8e", "middle", text-1, line.legend)
		}
	}
}

func graph(out *bytes.Buffer, box box, unit string, lines []line, begin, end time.Time) {
	top := 0.0
	for _, line := range lines {
		for _, point := range line.points {
			top = math.Max(top, point.value)
		}
	}
	if top == 0 {
		top = 1
	}
	left, right, upper, lower := box.x+62, box.x+box.w-margin, box.y+34, box.y+box.h-40
	for part := 0; part <= 4; part++ {
		y := lower - (lower-upper)*part/4
		fmt.Fprintf(out, `<path d="M%d %dH%d" stroke="#24272d"/>`+"\n", left, y, right)
		if part%2 == 0 {
			label(out, left-6, y+4, "#8e8e8e", "end", text-1, amount(top*float64(part)/4, unit))
		}
	}
	label(out, left, lower+15, "#8e8e8e", "start", text-1, "0 s")
	label(out, right, lower+15, "#8e8e8e", "end", text-1, fmt.Sprintf("%.0f s", end.Sub(begin).Seconds()))
	x := left
	for number, line := range lines {
		colour := colours[number%len(colours)]
		fmt.Fprintf(out, `<path d="`)
		var before time.Time
		for place, point := range line.points {
			to := "L"
			if place == 0 || point.at.Sub(before) > 3*time.Second {
				to = "M"
			}
			before = point.at
			across := float64(left) + float64(right-left)*point.at.Sub(begin).Seconds()/math.Max(end.Sub(begin).Seconds(), 1)
			fmt.Fprintf(out, "%s%.1f %.1f", to, across, float64(lower)-float64(lower-upper)*point.value/top)
		}
		fmt.Fprintf(out, `" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", colour)
		if width := 22 + 6*len(line.legend); x+width <= right {
			fmt.Fprintf(out, `<rect x="%d" y="%d" width="12" height="3" fill="%s"/>`+"\n", x, box.y+box.h-15, colour)
			label(out, x+16, box.y+box.h-10, "#ccccdc", "start", text-1, line.legend)
			x += width + 8
		}
	}
}

// A value in words, such as 12.3 s or 8.1 MiB.
func amount(value float64, unit string) string {
	switch unit {
	case "s":
		for _, span := range []struct {
			seconds float64
			name    string
		}{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}} {
			if math.Abs(value) >= span.seconds {
				return fmt.Sprintf("%.3g %s", value/span.seconds, span.name)
			}
		}
		return fmt.Sprintf("%.3g ms", value*1000)
	case "bytes":
		return fmt.Sprintf("%.3g MiB", value/(1<<20))
	case "ops":
		return fmt.Sprintf("%.2g/s", value)
	default:
		return fmt.Sprintf("%.3g", value)
	}
}
